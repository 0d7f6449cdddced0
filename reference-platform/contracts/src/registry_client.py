"""What the other contracts ask the PauseRegistry. All reads, so a contract's manifest needs no permission for them."""

from typing import cast

from boa3.sc.types import CallFlags, UInt160
from boa3.sc.utils import call_contract


def all_paused(registry: UInt160) -> bool:
    """Whether the registry says that everything must stand still."""
    return cast(bool, call_contract(registry, "isPaused", [], CallFlags.READ_ONLY))


def app_paused(registry: UInt160, app_id: str) -> bool:
    """Whether the registry says that this app, or everything, must stand still."""
    return cast(bool, call_contract(registry, "isPaused", [app_id], CallFlags.READ_ONLY))


def pausers(registry: UInt160) -> list[UInt160]:
    """The registry's operators, a bounded list."""
    return cast(list[UInt160], call_contract(registry, "operators", [], CallFlags.READ_ONLY))

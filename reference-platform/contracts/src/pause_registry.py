"""PauseRegistry: the one switch that every contract of the platform asks before money moves.

Operators may only pause. Resuming, and changing who may do what, needs the admin, a multi-signature account. Which account
calls is found by CheckWitness over the operators and then the admin, so a signer needs a witness scope that covers this
contract. A call that finds the state as wanted returns true and emits nothing.

Deployment data: [admin, [operator, ...]].
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import ContractManagement
from boa3.sc.runtime import check_witness
from boa3.sc.storage import delete, get_bool, get_list, get_str, get_uint160, put_bool, put_list, put_str, put_uint160
from boa3.sc.types import UInt160
from boa3.sc.utils import CreateNewEvent, to_bytes

from witness import first_witness, is_account

ADMIN = b"\x01"
OPERATORS = b"\x02"
GLOBAL_PAUSE = b"\x03"
REASON = b"\x04"
APP_PAUSE = b"\x05"

OPERATORS_MAX = 8
REASON_BYTES_MAX = 256
APP_ID_BYTES_MAX = 48

on_global_pause = CreateNewEvent([("paused", bool), ("by", UInt160), ("reason", str)], "GlobalPauseChanged")
on_app_pause = CreateNewEvent([("app_id", str), ("paused", bool), ("by", UInt160)], "AppPauseChanged")
on_operator = CreateNewEvent([("account", UInt160), ("enabled", bool)], "OperatorChanged")
on_admin = CreateNewEvent([("previous", UInt160), ("current", UInt160)], "AdminChanged")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "PauseRegistry"
    meta.author = "Tocsin reference platform"
    meta.description = "Stops and resumes the contracts of the platform"
    meta.add_permission(contract="0xfffdc93764dbaddd97c48f252a53ea4643faa3fd", methods=["update"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    first_admin = cast(UInt160, settings[0])
    first_operators = cast(list[UInt160], settings[1])
    assert is_account(first_admin), "invalid account"
    assert len(first_operators) <= OPERATORS_MAX, "too many operators"
    kept: list[UInt160] = []
    for account in first_operators:
        assert is_account(account), "invalid account"
        assert account not in kept, "duplicate operator"
        kept.append(account)
    put_uint160(ADMIN, first_admin)
    put_list(OPERATORS, kept)


@public(safe=True)
def admin() -> UInt160:
    """The account that may resume and may change who is an operator."""
    return get_uint160(ADMIN)


@public(safe=True)
def operators() -> list[UInt160]:
    """The accounts that may pause, at most eight."""
    return cast(list[UInt160], get_list(OPERATORS))


@public(name="isOperator", safe=True)
def is_operator(account: UInt160) -> bool:
    return account in operators()


@public(safe=True)
def reason() -> str:
    """Why everything is paused; empty when it is not, or when nobody gave a reason."""
    return get_str(REASON)


@public(name="isPaused", safe=True)
def is_paused() -> bool:
    """Whether everything is paused."""
    return get_bool(GLOBAL_PAUSE)


@public(name="isPaused", safe=True)
def is_app_paused(app_id: str) -> bool:
    """Whether this app must stand still: because it is paused itself, or because everything is."""
    return get_bool(GLOBAL_PAUSE) or get_bool(APP_PAUSE + to_bytes(app_id))


def the_pauser() -> UInt160:
    """The operator, or else the admin, who witnessed this call."""
    operator = first_witness(operators())
    if operator is not None:
        return operator
    return the_admin()


def the_admin() -> UInt160:
    account = get_uint160(ADMIN)
    assert check_witness(account), "not authorised"
    return account


@public(name="pauseAll")
def pause_all() -> bool:
    """Pause everything without giving a reason."""
    return pause_all_because("")


@public(name="pauseAll")
def pause_all_because(reason: str) -> bool:
    """Pause everything. Operators and the admin; `reason` has at most 256 bytes."""
    by = the_pauser()
    assert len(reason) <= REASON_BYTES_MAX, "reason too long"
    if is_paused():
        return True
    put_bool(GLOBAL_PAUSE, True)
    put_str(REASON, reason)
    on_global_pause(True, by, reason)
    return True

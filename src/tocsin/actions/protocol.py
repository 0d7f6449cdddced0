"""What an action is: four methods, always, and what passes between them.

An action never decides whether it may run (that is `incident/`), never stores anything (that is `respond/`) and never
talks to a vendor (that is `connect/`). Its input is typed; the catalogue turns it to JSON and back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from tocsin.domain.actions import Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.hashes import TxHash


@dataclass(frozen=True, slots=True)
class Preflight:
    """A preflight that passed: what would be done in words, what stands now, and what the run would lease."""

    summary: str
    before: Mapping[str, Json] = field(default_factory=dict[str, Json])
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a run handed out: the transaction it sent, or none where nothing was sent (`note` says why)."""

    tx: TxHash | None = None
    valid_until_block: int | None = None
    note: str = ""


class Action[I](Protocol):
    """A verb of the catalogue.

    Attributes:
        name: `subject.verb`.
        input_type: the frozen dataclass of its input; must survive a round trip through JSON.
        autonomy: how freely it may run when nothing stricter is said.
        approvals: how many people must consent to a plan; 0 for what only reads.
        changes: whether it changes anything outside Tocsin.
    """

    name: ClassVar[str]
    autonomy: ClassVar[Autonomy]
    approvals: ClassVar[int]
    changes: ClassVar[bool]

    @property
    def input_type(self) -> type[I]: ...

    async def bind(self, arguments: Mapping[str, Json]) -> I:
        """Makes the typed input of the runbook's arguments (placeholders already replaced).

        Raises:
            Refused: an argument is missing, of the wrong type, or the platform has no such thing.
        """
        ...

    async def preflight(self, given: I) -> Preflight:
        """Tries the action without changing anything, and records what stands.

        Raises:
            Refused: it would fail; the message says why and what to do.
            Unavailable: it can't be tried now.
        """
        ...

    async def run(self, key: str, given: I, before: Mapping[str, Json]) -> Receipt:
        """Does it, at most once a key.

        Raises:
            Refused, Failed, Partial, OutcomeUnknown: see `tocsin.domain.errors`.
        """
        ...

    async def verify(self, key: str, given: I, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        """Reads the world again. Safe to repeat.

        Raises:
            Failed: it is known not to have taken effect.
            OutcomeUnknown, Unavailable: the world did not say in time, or not with the quorum that is needed.
        """
        ...

    async def recall(self, key: str, given: I, before: Mapping[str, Json]) -> Receipt | None:
        """What an earlier run under `key` has handed out, or None where it never got that far. Sends nothing."""
        ...

    async def compensate(self, key: str, given: I, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        """Takes the change back, where a person asks for it.

        Raises:
            Refused: it can't be taken back this way; the message says who can.
        """
        ...

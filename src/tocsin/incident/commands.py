"""What an incident asks for when an event has been decided. Commands are values; `respond/` carries them out.

Whoever carries them out may get the same command again (after a crash, from `decide.outstanding`) and must then change
nothing twice: runs have deterministic names, and a deadline is one row for its kind and reference.
"""

from dataclasses import dataclass
from datetime import datetime

from tocsin.incident.events import DeadlineKind


@dataclass(frozen=True, slots=True)
class AssignRoles:
    """Put a person on call into each of these roles ("IC"), and record it as `RoleAssigned`."""

    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preflight:
    """Try these alternatives of a choice, in this order, changing nothing; the first that passes becomes the plan.

    Answered by `PlanProposed`, `RunManual` or `RunRefused`.
    """

    run: str
    step: int
    choice: int
    alternatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    """Carry out the plan of a run, once. Answered by `RunSent` where there is a transaction, then `RunFinished`."""

    run: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Find out what became of a run whose outcome is unknown, sending nothing new. Answered by `RunFinished`."""

    run: str


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Keep this deadline in place of any other of its kind and reference, and record `DeadlineReached` when it is due.

    `reference` is the incident (acknowledge, respond), the step's number (budget) or the run (approval wait).
    """

    kind: DeadlineKind
    reference: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ClearDeadline:
    """Forget the deadline of this kind and reference, if there is one."""

    kind: DeadlineKind
    reference: str


type Command = AssignRoles | Preflight | Execute | Reconcile | SetDeadline | ClearDeadline

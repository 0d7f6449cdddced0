"""What can happen in an incident, in the past tense. The log of these events is the one truth about an incident.

Each event is a frozen value without time, author or order: those stand in the `Recorded` envelope that the log adds.
Step numbers count from 1 as in the runbook; choices and items count from 0 within their step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tocsin.domain.actions import ActionStatus, Autonomy, Plan, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import TxHash
from tocsin.domain.principals import Approval
from tocsin.runbook.model import Severity


class Status(StrEnum):
    """Where an incident stands; see DESIGN, "Incident"."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    INVESTIGATING = "investigating"
    MITIGATING = "mitigating"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"
    FALSE_ALARM = "false_alarm"


class DeadlineKind(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    RESPOND = "respond"
    STEP_BUDGET = "step_budget"
    APPROVAL_WAIT = "approval_wait"
    """Not a promise: when it is reached, an `ask_then_act` run goes ahead."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An incident was opened. The runbook's hash is pinned here for good."""

    emergency: str
    title: str
    severity: Severity
    key: str
    reason: str
    runbook_hash: str
    mode: Autonomy


@dataclass(frozen=True, slots=True)
class DetectionJoined:
    detection: Detection


@dataclass(frozen=True, slots=True)
class Acknowledged:
    pass


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A person moved the incident on (investigating, mitigating, monitoring)."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class SeverityChanged:
    severity: Severity
    reason: str


@dataclass(frozen=True, slots=True)
class RoleAssigned:
    role: str
    person: str


@dataclass(frozen=True, slots=True)
class StepRequested:
    """A person asked for a step to run: early, again, or another alternative of a choice.

    Asking again for a step whose run ended in an unknown outcome reconciles that run; it never starts another.
    """

    step: int
    reason: str
    choice: int | None = None
    alternative: int | None = None


@dataclass(frozen=True, slots=True)
class StepSkipped:
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConditionAnswered:
    """The answer to a step's condition ("if critical"): no means that the step is skipped."""

    step: int
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ItemTicked:
    step: int
    item: int
    text: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """A person did a manual command of a choice by hand, and says how it went."""

    step: int
    choice: int
    alternative: int
    text: str


@dataclass(frozen=True, slots=True)
class PlanProposed:
    """The preflight of a run passed. `refusals` says why earlier alternatives were passed over."""

    run: str
    alternative: int
    plan: Plan
    autonomy: Autonomy
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRefused:
    """No alternative of a run passed its preflight; nothing changed."""

    run: str
    error: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class RunManual:
    """A run's command can't be carried out by this installation: a person must do it and say so."""

    run: str
    alternative: int
    reason: str


@dataclass(frozen=True, slots=True)
class PlanApproved:
    run: str
    approval: Approval


@dataclass(frozen=True, slots=True)
class RunFired:
    """An armed reflex has acted before the incident existed; its transaction stands in the outbox under `outbox_key`.

    It takes the place of the run's own plan and consent: `armed_by` are the people who approved it in advance.
    """

    run: str
    alternative: int
    plan: Plan
    outbox_key: str
    armed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSent:
    """A transaction of a run was offered to the chain. Submitted is not done."""

    run: str
    tx: TxHash
    valid_until_block: int


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended: verified, refused, failed, partial or unknown. `error` is set unless verified."""

    run: str
    status: ActionStatus
    tx: TxHash | None
    height: int | None
    verification: Verification | None
    error: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """A deadline's moment has come. `due_at` tells an old deadline from the present one of the same kind."""

    kind: DeadlineKind
    reference: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class NoteAdded:
    text: str


@dataclass(frozen=True, slots=True)
class Resolved:
    reason: str


@dataclass(frozen=True, slots=True)
class ClosedAsFalseAlarm:
    reason: str


@dataclass(frozen=True, slots=True)
class Reopened:
    reason: str


type Event = (
    Declared
    | DetectionJoined
    | Acknowledged
    | StatusChanged
    | SeverityChanged
    | RoleAssigned
    | StepRequested
    | StepSkipped
    | ConditionAnswered
    | ItemTicked
    | CommandDone
    | PlanProposed
    | RunRefused
    | RunManual
    | PlanApproved
    | RunFired
    | RunSent
    | RunFinished
    | DeadlineReached
    | NoteAdded
    | Resolved
    | ClosedAsFalseAlarm
    | Reopened
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the log keeps it: numbered from 1 within its incident, with its moment and its author.

    `key` is unique within the incident: appending an event under a key that is there already changes nothing, so that
    a step which runs again after a crash records its outcome once.
    """

    incident: str
    seq: int
    at: datetime
    principal: str
    key: str
    event: Event

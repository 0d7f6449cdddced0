"""What is known of an incident at one moment, as frozen values with the questions one asks of them.

Nothing here decides anything: `decide` makes the next state, `refusals` says what does not apply, `waiting` what people
must do. Step numbers count from 1; choices, alternatives and items count from 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.domain.actions import ActionStatus, Autonomy, Plan, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import TxHash
from tocsin.domain.principals import Approval
from tocsin.incident.events import DeadlineKind, Status
from tocsin.runbook.model import Budget, Runbook, Severity

CLOSED = frozenset({Status.RESOLVED, Status.REVIEWED, Status.FALSE_ALARM})
DETECTIONS_KEPT_MAX = 50
"""A rule may fire on every block; the log keeps all detections, the state the first ones and their number."""

IN_FLIGHT = frozenset({ActionStatus.PREFLIGHT, ActionStatus.WAITING, ActionStatus.RUNNING})
UNSUCCESSFUL = frozenset({ActionStatus.REFUSED, ActionStatus.FAILED, ActionStatus.PARTIAL, ActionStatus.UNKNOWN})
MAY_HAVE_EFFECT = frozenset({ActionStatus.RUNNING, ActionStatus.UNKNOWN})
"""Runs that may be changing the world, or may have changed it without anybody knowing."""


@dataclass(frozen=True, slots=True)
class Promises:
    """What the runbook promises for each severity, and the roles that a P0 fills.

    Times are durations from the declaration. A severity that is missing promises nothing.
    """

    acknowledge_within: Mapping[Severity, timedelta]
    respond_within: Mapping[Severity, timedelta]
    roles: tuple[str, ...] = ("IC", "TL", "CL")
    approval_wait: timedelta = timedelta(minutes=2)

    @classmethod
    def of(cls, runbook: Runbook) -> "Promises":
        """Acknowledge as the channel table says, respond as the severity table says, the roles of the runbook."""
        return cls(
            acknowledge_within={time.severity: time.within for time in runbook.announce_times},
            respond_within={level.severity: level.respond_within for level in runbook.severities},
            roles=tuple(role.code for role in runbook.roles),
        )

    def within(self, kind: DeadlineKind, severity: Severity) -> timedelta | None:
        """How long after the declaration `kind` (acknowledge or respond) is due; None if nothing is promised."""
        table = self.acknowledge_within if kind is DeadlineKind.ACKNOWLEDGE else self.respond_within
        return table.get(severity)


@dataclass(frozen=True, slots=True)
class Deadline:
    kind: DeadlineKind
    reference: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Breach:
    """A deadline that was missed; `at` is when that was recorded."""

    kind: DeadlineKind
    reference: str
    due_at: datetime
    at: datetime


class StepStatus(StrEnum):
    """`FAILED` is still open: a person runs the step again or skips it."""

    PENDING = "pending"
    ACTIVE = "active"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self in (StepStatus.DONE, StepStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Tick:
    """A person's word that an item is done; `text` is what they found."""

    by: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class ByHand:
    """A person's word that they did a command themselves, and how it went."""

    alternative: int
    text: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ItemState:
    text: str
    tick: Tick | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """One attempt at a choice.

    `alternatives` are those that the preflight tries, in order; `alternative` the one that passed. `autonomy` is the
    effective one. `manual` is the reason why a person must do it. `reconciling` says that an unknown outcome is being
    looked up. Done `by_hand`, a run is settled whatever its status says.
    """

    id: str
    step: int
    choice: int
    attempt: int
    alternatives: tuple[int, ...]
    started_at: datetime
    status: ActionStatus = ActionStatus.PREFLIGHT
    alternative: int | None = None
    refusals: tuple[str, ...] = ()
    plan: Plan | None = None
    autonomy: Autonomy | None = None
    approvals: tuple[Approval, ...] = ()
    manual: str | None = None
    tx: TxHash | None = None
    height: int | None = None
    verification: Verification | None = None
    error: Mapping[str, Json] | None = None
    reconciling: bool = False
    by_hand: ByHand | None = None
    outbox_key: str | None = None
    finished_at: datetime | None = None

    @property
    def key(self) -> str:
        """What the outside world knows the run by: its own name, or the key under which a reflex acted before."""
        return self.outbox_key or self.id

    @property
    def settled(self) -> bool:
        """Whether it took effect, so that its choice needs nothing more."""
        return self.status is ActionStatus.VERIFIED or self.by_hand is not None

    @property
    def in_flight(self) -> bool:
        return self.status in IN_FLIGHT

    @property
    def changes_something(self) -> bool:
        """Whether the plan changes the world, as opposed to reading it."""
        plan = self.plan
        return plan is not None and (plan.approvals_needed > 0 or not plan.action.endswith(".read"))

    @property
    def approvals_required(self) -> int | None:
        """How many people must approve before it runs; None if it never runs.

        Two-person is a property of the action, so no autonomy lets such a plan run with fewer.
        """
        if self.plan is None or self.autonomy in (None, Autonomy.OBSERVE):
            return None
        needed = self.plan.approvals_needed
        if self.autonomy is Autonomy.ACT:
            return needed if needed > 1 else 0
        return max(1, needed)

    @property
    def acts_after_wait(self) -> bool:
        """Whether it goes ahead when nobody has approved it in time."""
        return (
            self.autonomy is Autonomy.ASK_THEN_ACT
            and self.approvals_required is not None
            and self.approvals_required < 2
        )

    def valid_approvals(self, at: datetime) -> tuple[Approval, ...]:
        """The approvals that have not expired at that moment."""
        return tuple(approval for approval in self.approvals if at < approval.expires_at)

    @property
    def error_message(self) -> str:
        """What went wrong, in one sentence."""
        message = (self.error or {}).get("message")
        return message if isinstance(message, str) and message else f"the run ended {self.status}"


@dataclass(frozen=True, slots=True)
class ChoiceState:
    """Commands of which exactly one takes effect. `commands` are their texts; `wanted` those that the next run tries.

    `current` names the run that counts: None before the first, and again when the choice is to be repeated.
    """

    number: int
    commands: tuple[str, ...]
    wanted: tuple[int, ...]
    runs: tuple[RunState, ...] = ()
    current: str | None = None

    @property
    def run(self) -> RunState | None:
        """The current run; an older one never counts."""
        return self.runs[-1] if self.runs and self.runs[-1].id == self.current else None

    @property
    def settled(self) -> bool:
        run = self.run
        return not self.commands or (run is not None and run.settled)


@dataclass(frozen=True, slots=True)
class StepState:
    """One step of the procedure. `reason` says why it was requested out of order, skipped, or failed."""

    number: int
    title: str
    budget: Budget | None
    condition: str | None
    choices: tuple[ChoiceState, ...]
    items: tuple[ItemState, ...]
    status: StepStatus = StepStatus.PENDING
    condition_holds: bool | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None

    @property
    def label(self) -> str:
        """How sentences name it: `step 1, Pause Contracts`."""
        return f"step {self.number}, {self.title}"

    @property
    def condition_open(self) -> bool:
        return self.condition is not None and self.condition_holds is None

    @property
    def unsettled(self) -> ChoiceState | None:
        """The first choice that still needs something."""
        return next((choice for choice in self.choices if not choice.settled), None)

    @property
    def runs(self) -> tuple[RunState, ...]:
        """The current run of every choice that has one."""
        return tuple(choice.run for choice in self.choices if choice.run is not None)

    @property
    def uncertain(self) -> RunState | None:
        """A run of this step that may be changing the world, or may have done so."""
        return next((run for run in self.runs if run.status in MAY_HAVE_EFFECT), None)

    def with_choice(self, choice: ChoiceState) -> "StepState":
        return replace(self, choices=tuple(choice if old.number == choice.number else old for old in self.choices))


@dataclass(frozen=True, slots=True)
class IncidentState:
    """Everything that is known of an incident; folding its log gives it again.

    `responded_at` is when a person first worked on it, `mitigated_at` when the first change was verified (or a person
    said that the harm has stopped).
    """

    id: str
    emergency: str
    title: str
    key: str
    severity: Severity
    mode: Autonomy
    runbook_hash: str
    declared_at: datetime
    promises: Promises
    steps: tuple[StepState, ...]
    status: Status = Status.TRIGGERED
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    responded_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_reason: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    detections: tuple[Detection, ...] = ()
    detections_count: int = 0
    notes_count: int = 0
    deadlines: tuple[Deadline, ...] = ()
    breaches: tuple[Breach, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def unfilled_roles(self) -> tuple[str, ...]:
        """The roles that a P0 still lacks; empty for the other severities."""
        if self.severity is not Severity.P0:
            return ()
        return tuple(role for role in self.promises.roles if role not in self.roles)

    def step(self, number: int) -> StepState | None:
        return next((step for step in self.steps if step.number == number), None)

    def runs(self) -> Iterator[RunState]:
        """Every run, old ones too, in the order of the procedure."""
        for step in self.steps:
            for choice in step.choices:
                yield from choice.runs

    def run(self, run_id: str) -> RunState | None:
        return next((run for run in self.runs() if run.id == run_id), None)

    def deadline(self, kind: DeadlineKind, reference: str) -> Deadline | None:
        """The open deadline of this kind and reference."""
        return next((due for due in self.deadlines if (due.kind, due.reference) == (kind, reference)), None)

    def with_step(self, step: StepState) -> "IncidentState":
        return replace(self, steps=tuple(step if old.number == step.number else old for old in self.steps))

    def with_run(self, run: RunState) -> "IncidentState":
        """The state with this run in the place of the one of the same name."""
        step = next(step for step in self.steps if step.number == run.step)
        choice = step.choices[run.choice]
        runs = tuple(run if old.id == run.id else old for old in choice.runs)
        return self.with_step(step.with_choice(replace(choice, runs=runs)))

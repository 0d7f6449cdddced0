"""The log as people read it: a sentence for every event, with its moment, its author and the block that showed it.

The timeline leaves nothing out and adds nothing; the audit is another view of the same log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.actions import Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    CommandDone,
    ConditionAnswered,
    DeadlineKind,
    DeadlineReached,
    Declared,
    DetectionJoined,
    Event,
    ItemTicked,
    NoteAdded,
    PlanApproved,
    PlanProposed,
    Recorded,
    Reopened,
    Resolved,
    RoleAssigned,
    RunFinished,
    RunFired,
    RunManual,
    RunRefused,
    RunSent,
    SeverityChanged,
    StatusChanged,
    StepRequested,
    StepSkipped,
)
from tocsin.runbook.model import Emergency

_DEADLINE_NAMES = {
    DeadlineKind.ACKNOWLEDGE: "Nobody acknowledged in time",
    DeadlineKind.RESPOND: "Nobody responded in time",
    DeadlineKind.STEP_BUDGET: "The budget of {reference} is used up",
    DeadlineKind.APPROVAL_WAIT: "The wait for an approval of run {reference} is over",
}
_AUTONOMY = {
    Autonomy.OBSERVE: "only observed",
    Autonomy.ASK: "asks for approval",
    Autonomy.ASK_THEN_ACT: "asks for approval, then acts",
    Autonomy.ACT: "acts by itself",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """What happened, in one sentence. `author` is a principal's id; `height` the block that showed it, if one did."""

    seq: int
    at: datetime
    author: str
    sentence: str
    height: int | None = None


def timeline(log: Iterable[Recorded], emergency: Emergency | None = None) -> tuple[TimelineEntry, ...]:
    """The entries of a log, in its order. With the emergency, steps and items are called by their names."""
    names = _Names(emergency)
    return tuple(
        TimelineEntry(
            seq=recorded.seq,
            at=recorded.at,
            author=recorded.principal,
            sentence=_sentence(recorded.event, names),
            height=_height(recorded.event),
        )
        for recorded in log
    )


class _Names:
    """What steps and items are called; their numbers where the runbook is not at hand."""

    def __init__(self, emergency: Emergency | None) -> None:
        self._steps = {step.number: step for step in emergency.steps} if emergency is not None else {}

    def step(self, number: int) -> str:
        step = self._steps.get(number)
        return f"step {number}" if step is None else f"step {number}, {step.title}"

    def item(self, number: int, item: int) -> str:
        step = self._steps.get(number)
        if step is None:
            return f"item {item}"
        if item == 0 and not step.items:
            return f"“{step.title}”"
        return f"“{step.items[item].text}”" if 0 <= item < len(step.items) else f"item {item}"


def _height(event: Event) -> int | None:
    match event:
        case DetectionJoined():
            return event.detection.height
        case RunFinished():
            seen = event.verification.height if event.verification is not None else None
            return event.height if event.height is not None else seen
        case _:
            return None


def _sentence(event: Event, names: _Names) -> str:
    match event:
        case StepRequested() | StepSkipped() | ConditionAnswered() | ItemTicked() | CommandDone():
            return _about_step(event, names)
        case PlanProposed() | RunRefused() | RunManual() | PlanApproved() | RunFired() | RunSent() | RunFinished():
            return _about_run(event)
        case _:
            return _about_incident(event, names)


def _about_incident(event: Event, names: _Names) -> str:
    match event:
        case Declared():
            return f"Declared {event.severity} {event.title}{_because(event.reason)}"
        case DetectionJoined():
            return f"Detected by {event.detection.rule}: {event.detection.summary}"
        case Acknowledged():
            return "Acknowledged"
        case StatusChanged():
            return f"Now {event.status}{_because(event.reason)}"
        case SeverityChanged():
            return f"The severity is now {event.severity}{_because(event.reason)}"
        case RoleAssigned():
            return f"{event.person} is {event.role}"
        case DeadlineReached():
            budget = event.kind is DeadlineKind.STEP_BUDGET and event.reference.isdecimal()
            reference = names.step(int(event.reference)) if budget else event.reference
            return _DEADLINE_NAMES[event.kind].format(reference=reference)
        case NoteAdded():
            return f"Note: {event.text}"
        case Resolved():
            return f"Resolved{_because(event.reason)}"
        case ClosedAsFalseAlarm():
            return f"Closed as a false alarm{_because(event.reason)}"
        case Reopened():
            return f"Reopened{_because(event.reason)}"
        case _:
            return type(event).__name__


def _about_step(
    event: StepRequested | StepSkipped | ConditionAnswered | ItemTicked | CommandDone, names: _Names
) -> str:
    step = names.step(event.step)
    match event:
        case StepRequested():
            choice = f", choice {event.choice}" if event.choice is not None else ""
            alternative = f", alternative {event.alternative}" if event.alternative is not None else ""
            return f"Asked for {step}{choice}{alternative}{_because(event.reason)}"
        case StepSkipped():
            return f"Skipped {step}{_because(event.reason)}"
        case ConditionAnswered():
            return f"The condition of {step} {'holds' if event.holds else 'does not hold'}{_because(event.reason)}"
        case ItemTicked():
            return f"Ticked {names.item(event.step, event.item)} of {step}{_because(event.text)}"
        case CommandDone():
            done = f"choice {event.choice}, alternative {event.alternative}"
            return f"Did {done} of {step} by hand{_because(event.text)}"


def _about_run(
    event: PlanProposed | RunRefused | RunManual | PlanApproved | RunFired | RunSent | RunFinished,
) -> str:
    match event:
        case PlanProposed():
            passed_over = f"; passed over: {'; '.join(event.refusals)}" if event.refusals else ""
            return f"Run {event.run} proposes: {event.plan.summary} ({_AUTONOMY[event.autonomy]}){passed_over}"
        case RunRefused():
            return f"Run {event.run} was refused, nothing changed{_because(_message(event.error))}"
        case RunManual():
            return f"Run {event.run} needs a person{_because(event.reason)}"
        case PlanApproved():
            return f"Approved run {event.run}, plan {event.approval.plan_hash[:12]}"
        case RunFired():
            return f"The reflex that {' and '.join(event.armed_by)} armed has fired: {event.plan.summary}"
        case RunSent():
            return f"Run {event.run} sent {event.tx}, valid until block {event.valid_until_block}"
        case RunFinished():
            why = _evidence(event.verification) if event.verification is not None else _message(event.error)
            return f"Run {event.run} ended {event.status}{_because(why)}"


def _evidence(verification: Verification) -> str:
    quorum = verification.quorum
    counted = f" ({quorum.confirmed} of {quorum.of} providers, {quorum.needed} needed)" if quorum is not None else ""
    probe = f"; {verification.effect_probe}" if verification.effect_probe else ""
    return f"{verification.summary}{counted}{probe}"


def _message(error: Mapping[str, Json] | None) -> str:
    message = (error or {}).get("message")
    return message if isinstance(message, str) else ""


def _because(reason: str) -> str:
    return f": {reason.strip()}" if reason.strip() else ""

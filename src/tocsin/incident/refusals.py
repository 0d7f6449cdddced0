"""Why an event does not apply to an incident now, and what to do instead.

`decide` ignores what is refused here, and whoever appends for a person asks first, so that the person hears the reason.
Whether a principal is enrolled and an approval's signature is right is checked where keys are known, not here.
"""

from datetime import datetime

from tocsin.domain.actions import ActionStatus
from tocsin.domain.principals import TOCSIN
from tocsin.incident import verbs
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    CommandDone,
    ConditionAnswered,
    DeadlineReached,
    Declared,
    DetectionJoined,
    Event,
    ItemTicked,
    NoteAdded,
    PlanApproved,
    PlanProposed,
    Reopened,
    Resolved,
    RoleAssigned,
    RunFinished,
    RunFired,
    RunManual,
    RunRefused,
    RunSent,
    SeverityChanged,
    Status,
    StatusChanged,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.run_refusals import run_refusal
from tocsin.incident.state import IncidentState, StepState, StepStatus
from tocsin.incident.step_refusals import (
    command_done_refusal,
    condition_refusal,
    item_refusal,
    request_refusal,
    skip_refusal,
    unknown_step,
)

_OF_PEOPLE = (
    Acknowledged,
    StatusChanged,
    StepRequested,
    StepSkipped,
    ConditionAnswered,
    ItemTicked,
    CommandDone,
    PlanApproved,
    Resolved,
    ClosedAsFalseAlarm,
    Reopened,
)
_OF_TOCSIN = (PlanProposed, RunRefused, RunManual, RunFired, RunSent, RunFinished, DeadlineReached)
_ON_CLOSED = (NoteAdded, StatusChanged, Reopened, RunSent, RunFinished)
"""What still applies to a closed incident. (Of the status changes only the one to reviewed.)"""

_MOVES = (Status.INVESTIGATING, Status.MITIGATING, Status.MONITORING)


def refusal(state: IncidentState, event: Event, principal: str, at: datetime) -> str | None:
    """Why this event by this principal (an id) at this moment does not apply, with what to do instead.

    None if it applies. Total: never raises, whatever the event says.
    """
    if isinstance(event, _OF_PEOPLE) and principal == TOCSIN.id:
        return "only a person may say this; Tocsin never does so by itself"
    if isinstance(event, _OF_TOCSIN) and principal != TOCSIN.id:
        return "only Tocsin records what its runs and deadlines did; add a note instead"
    if not state.is_open and not isinstance(event, _ON_CLOSED):
        return f"{state.id} is closed ({state.status}): reopen it first with `{verbs.reopen(state.id)}`"
    match event:
        case PlanProposed() | RunRefused() | RunManual() | PlanApproved() | RunFired() | RunSent() | RunFinished():
            return run_refusal(state, event, principal, at)
        case DeadlineReached():
            return _deadline_refusal(state, event, at)
        case StepRequested() | StepSkipped() | ConditionAnswered() | ItemTicked() | CommandDone():
            return _step_refusal(state, event)
        case _:
            return _incident_refusal(state, event)


def _step_refusal(
    state: IncidentState, event: StepRequested | StepSkipped | ConditionAnswered | ItemTicked | CommandDone
) -> str | None:
    step = state.step(event.step)
    if step is None:
        return unknown_step(state, event.step)
    match event:
        case StepRequested():
            return request_refusal(state, step, event)
        case StepSkipped():
            return skip_refusal(state, step, event)
        case ConditionAnswered():
            return condition_refusal(state, step)
        case ItemTicked():
            return item_refusal(state, step, event)
        case CommandDone():
            return command_done_refusal(state, step, event)


def _deadline_refusal(state: IncidentState, event: DeadlineReached, at: datetime) -> str | None:
    deadline = state.deadline(event.kind, event.reference)
    if deadline is None or deadline.due_at != event.due_at:
        return "this deadline was met, cleared or moved meanwhile"
    return "this deadline is not due yet" if at < event.due_at else None


def _incident_refusal(state: IncidentState, event: Event) -> str | None:
    match event:
        case Declared():
            return f"{state.id} was declared already"
        case Acknowledged() if state.acknowledged_at is not None:
            return f"{state.id} was acknowledged already by {state.acknowledged_by}"
        case StatusChanged():
            return _status_refusal(state, event)
        case SeverityChanged() if event.severity is state.severity:
            return f"the severity is {state.severity} already"
        case RoleAssigned():
            return _role_refusal(state, event)
        case DetectionJoined() if any(event.detection.id == known.id for known in state.detections):
            return f"detection {event.detection.id} has joined already"
        case NoteAdded() if not event.text.strip():
            return "a note needs a text"
        case Resolved():
            return _resolve_refusal(state)
        case ClosedAsFalseAlarm():
            return _false_alarm_refusal(state, event)
        case Reopened() if state.is_open:
            return f"{state.id} is open ({state.status})"
        case Reopened() if not event.reason.strip():
            return f"say why it is reopened: `{verbs.reopen(state.id)}`"
        case _:
            return None


def _status_refusal(state: IncidentState, event: StatusChanged) -> str | None:
    if event.status is state.status:
        return f"the status is {state.status} already"
    if not state.is_open:
        if event.status is Status.REVIEWED and state.status is Status.RESOLVED:
            return None
        return f"{state.id} is closed ({state.status}): reopen it first with `{verbs.reopen(state.id)}`"
    match event.status:
        case Status.INVESTIGATING | Status.MITIGATING | Status.MONITORING:
            return None
        case Status.ACKNOWLEDGED:
            instead = f"acknowledge with `{verbs.acknowledge(state.id)}`"
        case Status.RESOLVED | Status.REVIEWED:
            instead = f"resolve it first with `{verbs.resolve(state.id)}`"
        case Status.FALSE_ALARM:
            instead = f"close it with `{verbs.close_as_false_alarm(state.id)}`"
        case Status.TRIGGERED:
            instead = f"choose one of {', '.join(_MOVES)}"
    return f"an open incident is not moved to {event.status} like this: {instead}"


def _role_refusal(state: IncidentState, event: RoleAssigned) -> str | None:
    if not event.person.strip():
        return "say who takes the role"
    known = state.promises.roles
    if event.role not in known:
        return f"the runbook has no role {event.role!r}: it has {', '.join(known) or 'none'}"
    return None


def _uncertain_run(state: IncidentState) -> str | None:
    for step in state.steps:
        run = step.uncertain
        if run is None:
            continue
        if run.status is ActionStatus.RUNNING:
            return f"run {run.id} of {step.label} is still running: wait for its outcome"
        if run.reconciling:
            return f"Tocsin is finding out what became of run {run.id} of {step.label}: wait for its outcome"
        return (
            f"nobody knows yet what run {run.id} of {step.label} did: "
            f"reconcile it with `{verbs.run_step(state.id, step.number, f'--choice {run.choice}')}`"
        )
    return None


def _resolve_refusal(state: IncidentState) -> str | None:
    uncertain = _uncertain_run(state)
    if uncertain is not None:
        return uncertain
    left = [step for step in state.steps if not step.status.finished]
    if not left:
        return None
    named = "; ".join(_left(step) for step in left)
    skip = verbs.skip_step(state.id, left[0].number)
    return f"not every step is finished: {named}. Finish each, or skip it with `{skip}`"


def _left(step: StepState) -> str:
    return f"{step.label} has failed" if step.status is StepStatus.FAILED else f"{step.label} is {step.status}"


def _false_alarm_refusal(state: IncidentState, event: ClosedAsFalseAlarm) -> str | None:
    uncertain = _uncertain_run(state)
    if uncertain is not None:
        return uncertain
    if not event.reason.strip():
        return f"say why it was a false alarm: `{verbs.close_as_false_alarm(state.id)}`"
    return None

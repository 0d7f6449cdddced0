"""Why a person can't do this with a step now, and what to do instead.

Part of `refusals`, which has checked already who says it and that the step exists. Here stands the rule that a choice
takes effect once: while its outcome is unknown, it gets no second run, by machine or by hand.
"""

from tocsin.domain.actions import ActionStatus
from tocsin.incident import verbs
from tocsin.incident.events import CommandDone, ItemTicked, StepRequested, StepSkipped
from tocsin.incident.state import ChoiceState, IncidentState, RunState, StepState, StepStatus


def requested_choice(step: StepState, event: StepRequested) -> ChoiceState | None:
    """The choice that a request is about: the one it names, else the only one, else the first unsettled one."""
    if event.choice is not None:
        return step.choices[event.choice] if 0 <= event.choice < len(step.choices) else None
    if event.alternative is not None and len(step.choices) == 1:
        return step.choices[0]
    return step.unsettled


def unknown_step(state: IncidentState, number: int) -> str:
    """There is no such step, and which there are."""
    known = f"steps 1 to {len(state.steps)}" if state.steps else "no steps"
    return f"there is no step {number}: this procedure has {known}"


def request_refusal(state: IncidentState, step: StepState, event: StepRequested) -> str | None:
    """Why the step can't be run (early, again, or by another alternative)."""
    choice = requested_choice(step, event)
    if event.choice is not None and choice is None:
        return f"{step.label} has no choice {event.choice}: it has {len(step.choices)}"
    if event.alternative is not None:
        if choice is None or (event.choice is None and len(step.choices) > 1):
            return f"say which choice of {step.label} the alternative belongs to, with `--choice`"
        if not 0 <= event.alternative < len(choice.commands):
            return f"that choice of {step.label} has no alternative {event.alternative}: it has {len(choice.commands)}"
    again = verbs.run_step(state.id, step.number, verbs.REASON)
    if step.status is StepStatus.PENDING and not event.reason.strip():
        return f"{step.label} is not due yet: to run it early, say why with `{again}`"
    if step.status.finished:
        if not event.reason.strip():
            return f"{step.label} is {step.status}: to run it again, say why with `{again}`"
        return None
    if step.status is StepStatus.PENDING:
        return None
    if step.condition_open:
        return _answer_first(state, step)
    if choice is None:
        return f"the commands of {step.label} are settled: tick its items, or name the choice to repeat with `--choice`"
    return _attempt_refusal(state, step, choice, event)


def _attempt_refusal(state: IncidentState, step: StepState, choice: ChoiceState, event: StepRequested) -> str | None:
    """Why this choice of an open step gets no further attempt now."""
    run = choice.run
    if run is not None and run.status is ActionStatus.UNKNOWN:
        return _unknown_refusal(state, step, run, event)
    other = next((run for run in step.runs if run.choice != choice.number and run.in_flight), None)
    if other is not None:
        return f"run {other.id} of {step.label} is under way ({other.status}), and its commands run one after the other"
    if (run is None or run.settled) and not event.reason.strip():
        once = "was done already" if run is not None else "is not due yet"
        return f"this choice of {step.label} {once}: say why it should run with `--reason`"
    if run is None or run.settled:
        return None
    match run.status:
        case ActionStatus.PREFLIGHT | ActionStatus.RUNNING:
            return f"run {run.id} is under way ({run.status}): wait for its outcome"
        case ActionStatus.WAITING if run.manual is None and event.alternative in (None, run.alternative):
            return f"run {run.id} waits for an approval: `{verbs.approve(run.id)}`, or name another `--alternative`"
        case _:
            return None


def _unknown_refusal(state: IncidentState, step: StepState, run: RunState, event: StepRequested) -> str | None:
    if run.reconciling:
        return f"Tocsin is finding out what became of run {run.id}: wait for its outcome"
    if event.alternative not in (None, run.alternative):
        return (
            f"run {run.id} may have taken effect, so no other alternative may run: "
            f"reconcile it first with `{verbs.run_step(state.id, step.number, f'--choice {run.choice}')}`"
        )
    return None


def skip_refusal(state: IncidentState, step: StepState, event: StepSkipped) -> str | None:
    """Why the step can't be skipped."""
    if step.status.finished:
        return f"{step.label} is {step.status} already"
    run = step.uncertain
    if run is not None:
        todo = (
            "wait for its outcome"
            if run.reconciling or run.status is ActionStatus.RUNNING
            else f"reconcile it with `{verbs.run_step(state.id, step.number, f'--choice {run.choice}')}`"
        )
        return (
            f"run {run.id} of {step.label} is {run.status} and may take effect: {todo}; other steps may run meanwhile"
        )
    if not event.reason.strip():
        return f"say why {step.label} is skipped: `{verbs.skip_step(state.id, step.number)}`"
    return None


def condition_refusal(state: IncidentState, step: StepState) -> str | None:
    """Why the step's condition can't be answered now."""
    if step.condition is None:
        return f"{step.label} has no condition: skip it with `{verbs.skip_step(state.id, step.number)}`"
    if step.status.finished or step.condition_holds is not None:
        return f"the condition of {step.label} was answered already or does not matter any more"
    return _not_begun(state, step)


def item_refusal(state: IncidentState, step: StepState, event: ItemTicked) -> str | None:
    """Why the item can't be ticked now."""
    if not 0 <= event.item < len(step.items):
        return f"{step.label} has no item {event.item}: it has {len(step.items)}, counted from 0"
    refused = _not_open(state, step)
    if refused is not None:
        return refused
    tick = step.items[event.item].tick
    return f"{tick.by} has ticked this item already" if tick is not None else None


def command_done_refusal(state: IncidentState, step: StepState, event: CommandDone) -> str | None:
    """Why a command can't be reported as done by hand now."""
    if not 0 <= event.choice < len(step.choices):
        return f"{step.label} has no choice {event.choice}: it has {len(step.choices)}, counted from 0"
    choice = step.choices[event.choice]
    if not 0 <= event.alternative < len(choice.commands):
        return f"that choice of {step.label} has no alternative {event.alternative}: it has {len(choice.commands)}"
    refused = _not_open(state, step)
    if refused is not None:
        return refused
    run = choice.run
    if run is None:
        return f"an earlier command of {step.label} comes first; add a note if you have done this one already"
    if run.settled:
        return f"this command of {step.label} is settled already; add a note if you did it once more"
    match run.status:
        case ActionStatus.PREFLIGHT | ActionStatus.RUNNING:
            return f"run {run.id} is under way ({run.status}): wait for its outcome"
        case ActionStatus.UNKNOWN:
            reconcile = verbs.run_step(state.id, step.number, f"--choice {run.choice}")
            return f"run {run.id} may have taken effect: reconcile it first with `{reconcile}`"
        case _:
            return None


def _not_begun(state: IncidentState, step: StepState) -> str | None:
    if step.status is not StepStatus.PENDING:
        return None
    early = verbs.run_step(state.id, step.number, verbs.REASON)
    return f"{step.label} has not begun: begin it early with `{early}`"


def _not_open(state: IncidentState, step: StepState) -> str | None:
    if step.status.finished:
        again = verbs.run_step(state.id, step.number, verbs.REASON)
        return f"{step.label} is {step.status}: to do it again, request it with `{again}`"
    return _not_begun(state, step) or (_answer_first(state, step) if step.condition_open else None)


def _answer_first(state: IncidentState, step: StepState) -> str:
    return f"{step.label} waits for an answer to {step.condition!r}: `{verbs.answer(state.id, step.number)}`"

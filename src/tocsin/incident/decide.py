"""The incident as one total function: `decide(state, recorded)` gives the next state and the commands it asks for.

`start` makes the first state from a declaration, `replay` folds a log, `outstanding` says what a runner that begins at
a state has still to carry out. The same log always gives the same state and the same commands. How steps and runs
follow each other is `turn`'s, why an event does not apply is `refusals`'.
"""

from collections.abc import Iterable
from dataclasses import replace

from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.incident.commands import AssignRoles, Command, Execute, Preflight, Reconcile, SetDeadline
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
    Status,
    StatusChanged,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.refusals import refusal
from tocsin.incident.run_refusals import RunEvent
from tocsin.incident.state import (
    DETECTIONS_KEPT_MAX,
    ByHand,
    ChoiceState,
    IncidentState,
    ItemState,
    Promises,
    RunState,
    StepState,
    StepStatus,
    Tick,
)
from tocsin.incident.step_refusals import requested_choice
from tocsin.incident.turn import Turn
from tocsin.runbook.model import Emergency, Severity, Step

type Decision = tuple[IncidentState, tuple[Command, ...]]


def start(emergency: Emergency, promises: Promises, recorded: Recorded) -> Decision:
    """Opens an incident: its deadlines run from the declaration, a P0 fills the roles, the first step begins.

    Raises:
        ValueError: the recorded event is no `Declared`.
    """
    declared = recorded.event
    if not isinstance(declared, Declared):
        raise ValueError(f"an incident begins with Declared, not {type(declared).__name__}")
    state = IncidentState(
        id=recorded.incident,
        emergency=declared.emergency,
        title=declared.title,
        key=declared.key,
        severity=declared.severity,
        mode=declared.mode,
        runbook_hash=declared.runbook_hash,
        declared_at=recorded.at,
        promises=promises,
        steps=tuple(_step_state(step) for step in emergency.steps),
    )
    turn = Turn(state, recorded.at, recorded.principal)
    turn.keep_promises()
    turn.fill_roles()
    turn.next_step()
    return turn.result


def decide(state: IncidentState, recorded: Recorded) -> Decision:
    """What the event makes of the incident, and what must be done now.

    Total: an event that does not apply (see `refusal`) gives the same state and no commands; nothing is raised.
    """
    if refusal(state, recorded.event, recorded.principal, recorded.at) is not None:
        return state, ()
    turn = Turn(state, recorded.at, recorded.principal)
    match recorded.event:
        case StepRequested() | StepSkipped() | ConditionAnswered() | ItemTicked() | CommandDone() as event:
            step = state.step(event.step)
            assert step is not None, "refused above"
            _work_on_step(turn, step, event)
        case (
            PlanProposed()
            | RunRefused()
            | RunManual()
            | PlanApproved()
            | RunFired()
            | RunSent()
            | RunFinished() as event
        ):
            run = state.run(event.run)
            assert run is not None, "refused above"
            _follow_run(turn, run, event)
        case DeadlineReached() as event:
            _reach_deadline(turn, event)
        case event:
            _direct(turn, event)
    return turn.result


def replay(emergency: Emergency, promises: Promises, log: Iterable[Recorded]) -> IncidentState:
    """The state after a whole log, in the order of the log; its commands are not given again (see `outstanding`).

    Raises:
        ValueError: the log is empty or does not begin with `Declared`.
    """
    events = iter(log)
    first = next(events, None)
    if first is None:
        raise ValueError("an empty log makes no incident")
    state, _ = start(emergency, promises, first)
    for recorded in events:
        state, _ = decide(state, recorded)
    return state


def outstanding(state: IncidentState) -> tuple[Command, ...]:
    """The commands that were asked for and not yet answered, for a runner that begins at this state after a crash."""
    commands: list[Command] = [SetDeadline(due.kind, due.reference, due.due_at) for due in state.deadlines]
    if state.is_open and state.unfilled_roles:
        commands.append(AssignRoles(state.unfilled_roles))
    for run in state.runs():
        match run.status:
            case ActionStatus.PREFLIGHT:
                commands.append(Preflight(run.id, run.step, run.choice, run.alternatives))
            case ActionStatus.RUNNING:
                commands.append(Execute(run.id))
            case ActionStatus.UNKNOWN if run.reconciling:
                commands.append(Reconcile(run.id))
            case _:
                pass
    return tuple(commands)


def _step_state(step: Step) -> StepState:
    choices = tuple(
        ChoiceState(
            number=number,
            commands=tuple(command.text for command in choice.alternatives),
            wanted=tuple(range(len(choice.alternatives))),
        )
        for number, choice in enumerate(step.choices)
    )
    items = tuple(ItemState(item.text) for item in step.items)
    if not items and not any(choice.commands for choice in choices):
        # A step that says nothing but its title is one thing to do: the title.
        items = (ItemState(step.title),)
    return StepState(
        number=step.number,
        title=step.title,
        budget=step.budget,
        condition=step.condition,
        choices=choices,
        items=items,
    )


def _direct(turn: Turn, event: Event) -> None:
    """Events about the incident as a whole."""
    state = turn.state
    match event:
        case DetectionJoined():
            kept = (
                state.detections
                if len(state.detections) >= DETECTIONS_KEPT_MAX
                else (*state.detections, event.detection)
            )
            turn.state = replace(state, detections=kept, detections_count=state.detections_count + 1)
        case Acknowledged():
            turn.acknowledge()
        case StatusChanged():
            turn.respond()
            turn.move_to(event.status)
            if event.status is Status.MONITORING:
                turn.mitigated()
        case SeverityChanged():
            turn.state = replace(state, severity=event.severity)
            turn.acknowledge()
            turn.keep_promises()
            if event.severity is Severity.P0:
                turn.fill_roles()
        case RoleAssigned():
            turn.state = replace(state, roles={**state.roles, event.role: event.person})
        case NoteAdded():
            turn.state = replace(state, notes_count=state.notes_count + 1)
        case Resolved():
            turn.close(Status.RESOLVED, event.reason)
        case ClosedAsFalseAlarm():
            turn.close(Status.FALSE_ALARM, event.reason)
        case Reopened():
            turn.acknowledge()
            turn.reopen()
        case _:
            pass


def _work_on_step(
    turn: Turn, step: StepState, event: StepRequested | StepSkipped | ConditionAnswered | ItemTicked | CommandDone
) -> None:
    """What people do with a step."""
    turn.respond()
    match event:
        case StepRequested():
            _run_step(turn, step, event)
        case StepSkipped():
            turn.finish(step, StepStatus.SKIPPED, event.reason)
        case ConditionAnswered() if event.holds:
            turn.state = turn.state.with_step(replace(step, condition_holds=True))
            turn.go_on(step.number)
        case ConditionAnswered():
            reason = event.reason.strip() or f"the condition does not hold: {step.condition}"
            turn.finish(replace(step, condition_holds=False), StepStatus.SKIPPED, reason)
        case ItemTicked():
            tick = Tick(by=turn.author, at=turn.at, text=event.text)
            items = tuple(replace(item, tick=tick) if n == event.item else item for n, item in enumerate(step.items))
            turn.state = turn.state.with_step(replace(step, items=items))
            turn.go_on(step.number)
        case CommandDone():
            run = step.choices[event.choice].run
            assert run is not None, "refused by command_done_refusal"
            turn.settle_by_hand(run, ByHand(event.alternative, event.text, by=turn.author, at=turn.at))


def _run_step(turn: Turn, step: StepState, event: StepRequested) -> None:
    choice = requested_choice(step, event)
    if choice is not None:
        wanted = tuple(range(len(choice.commands))) if event.alternative is None else (event.alternative,)
        choice = replace(choice, wanted=wanted)
        step = step.with_choice(choice)
    if step.status is StepStatus.PENDING:
        turn.activate(step, event.reason)
    elif step.status.finished:
        named = choice if event.choice is not None or event.alternative is not None else None
        turn.repeat(step, named, event.reason)
    elif choice is not None and choice.run is not None and choice.run.status is ActionStatus.UNKNOWN:
        turn.state = turn.state.with_run(replace(choice.run, reconciling=True))
        turn.ask(Reconcile(choice.run.id))
    elif choice is not None:
        turn.state = turn.state.with_step(step)
        turn.start_run(step, choice)


def _follow_run(turn: Turn, run: RunState, event: RunEvent) -> None:
    """What became of a run."""
    match event:
        case PlanProposed():
            _take_up_plan(turn, run, event)
        case RunManual():
            manual = replace(run, status=ActionStatus.WAITING, alternative=event.alternative, manual=event.reason)
            turn.state = turn.state.with_run(manual)
        case RunRefused():
            turn.end_run(run, ActionStatus.REFUSED, event.error)
        case PlanApproved():
            turn.respond()
            run = replace(run, approvals=(*run.valid_approvals(turn.at), event.approval))
            turn.state = turn.state.with_run(run)
            if len(run.approvals) >= (run.approvals_required or 1):
                turn.execute(run)
        case RunFired():
            fired = replace(
                run,
                alternative=event.alternative,
                plan=event.plan,
                autonomy=Autonomy.ACT,
                outbox_key=event.outbox_key,
                finished_at=None,
            )
            turn.execute(fired)
        case RunSent():
            turn.state = turn.state.with_run(replace(run, tx=event.tx))
        case RunFinished():
            outcome = replace(run, tx=event.tx or run.tx, height=event.height, verification=event.verification)
            turn.end_run(outcome, event.status, event.error)


def _take_up_plan(turn: Turn, run: RunState, event: PlanProposed) -> None:
    run = replace(
        run,
        status=ActionStatus.WAITING,
        alternative=event.alternative,
        plan=event.plan,
        autonomy=Autonomy.strictest(turn.state.mode, event.autonomy),
        refusals=event.refusals,
    )
    required = run.approvals_required
    if required is None:
        turn.state = turn.state.with_run(replace(run, status=ActionStatus.OBSERVED, finished_at=turn.at))
        turn.go_on(run.step)
    elif required == 0:
        turn.execute(run)
    else:
        turn.state = turn.state.with_run(run)
        if run.acts_after_wait:
            turn.set_deadline(DeadlineKind.APPROVAL_WAIT, run.id, turn.at + turn.state.promises.approval_wait)


def _reach_deadline(turn: Turn, event: DeadlineReached) -> None:
    turn.clear_deadline(event.kind, event.reference)
    if event.kind is not DeadlineKind.APPROVAL_WAIT:
        turn.breach(event.kind, event.reference, event.due_at)
        return
    run = turn.state.run(event.reference)
    # The deadline is cleared whenever the run stops waiting, so this one still waits; asserting it here costs nothing.
    if run is not None and run.status is ActionStatus.WAITING and run.acts_after_wait:
        turn.execute(run)

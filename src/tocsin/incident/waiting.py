"""What an incident waits for from people: one obvious next thing each, in a short sentence, with the command for it.

Who of the people should do it, and how it is shown, is left to the doors. What Tocsin itself has still to do is
`decide.outstanding`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tocsin.domain.actions import ActionStatus
from tocsin.domain.canonical import Json
from tocsin.incident import verbs
from tocsin.incident.events import DeadlineKind
from tocsin.incident.state import UNSUCCESSFUL, IncidentState, RunState, StepState, StepStatus


class WaitingKind(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    APPROVE = "approve"
    ANSWER = "answer"
    DO = "do"
    TICK = "tick"
    DECIDE = "decide"
    RECONCILE = "reconcile"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that a person must do: an imperative `sentence` and the `command` line that says it is done.

    `due_at` is the deadline behind it, if one is still open. `plan_hash` is what an approval must be bound to, and
    `plan_inputs` what exactly would be done (`calls.exactly` has words for it).
    """

    kind: WaitingKind
    sentence: str
    command: str
    step: int | None = None
    choice: int | None = None
    item: int | None = None
    run: str | None = None
    plan_hash: str | None = None
    plan_inputs: Mapping[str, Json] | None = None
    due_at: datetime | None = None


def waiting_for(state: IncidentState) -> tuple[Waiting, ...]:
    """What people must do next, the most pressing first; empty when Tocsin is at work or the incident is closed."""
    return tuple(_waiting(state)) if state.is_open else ()


def _waiting(state: IncidentState) -> Iterator[Waiting]:
    if state.acknowledged_at is None:
        yield Waiting(
            WaitingKind.ACKNOWLEDGE,
            f"Acknowledge {state.severity} {state.title}.",
            verbs.acknowledge(state.id),
            due_at=_due(state, DeadlineKind.ACKNOWLEDGE, state.id),
        )
    for step in state.steps:
        if step.status in (StepStatus.ACTIVE, StepStatus.FAILED):
            yield from _on_step(state, step)
    if all(step.status.finished for step in state.steps):
        yield Waiting(
            WaitingKind.RESOLVE,
            f"Resolve {state.title} when monitoring shows normal operation.",
            verbs.resolve(state.id),
        )


def _on_step(state: IncidentState, step: StepState) -> Iterator[Waiting]:
    due_at = _due(state, DeadlineKind.STEP_BUDGET, str(step.number))
    if step.condition_open:
        yield Waiting(
            WaitingKind.ANSWER,
            f"Decide on {step.label}: does “{step.condition}” hold?",
            verbs.answer(state.id, step.number),
            step=step.number,
            due_at=due_at,
        )
        return
    for run in step.runs:
        if not run.settled:
            yield from _on_run(state, step, run, due_at)
    for number, item in enumerate(step.items):
        if item.tick is None:
            yield Waiting(
                WaitingKind.TICK,
                f"Do and tick, for {step.label}: {item.text}.",
                verbs.tick(state.id, step.number, number),
                step=step.number,
                item=number,
                due_at=due_at,
            )


def _on_run(state: IncidentState, step: StepState, run: RunState, due_at: datetime | None) -> Iterator[Waiting]:
    def waiting(kind: WaitingKind, sentence: str, command: str, due_at: datetime | None = due_at) -> Waiting:
        plan = run.plan if kind is WaitingKind.APPROVE else None
        return Waiting(
            kind,
            sentence,
            command,
            step=step.number,
            choice=run.choice,
            run=run.id,
            plan_hash=None if plan is None else plan.hash,
            plan_inputs=None if plan is None else plan.inputs,
            due_at=due_at,
        )

    by_hand = verbs.done_by_hand(state.id, step.number, run.choice, run.alternative or 0)
    match run.status:
        case ActionStatus.WAITING if run.manual is not None:
            command = step.choices[run.choice].commands[run.alternative or 0]
            yield waiting(WaitingKind.DO, f"Do by hand, for {step.label}: {command} ({run.manual}).", by_hand)
        case ActionStatus.WAITING if run.plan is not None:
            acts_at = _due(state, DeadlineKind.APPROVAL_WAIT, run.id)
            sentence = f"Approve run {run.id}, plan {run.plan.hash[:12]}, for {step.label}: {run.plan.summary}"
            sentence += f" ({len(run.approvals)} of {run.approvals_required} approvals given"
            sentence += "; it goes ahead without when the wait is over)." if acts_at is not None else ")."
            yield waiting(WaitingKind.APPROVE, sentence, verbs.approve(run.id, run.plan.hash), acts_at or due_at)
        case ActionStatus.OBSERVED if run.plan is not None:
            sentence = f"Do by hand or skip, for {step.label}: {run.plan.summary} (Tocsin only observes)."
            yield waiting(WaitingKind.DO, sentence, by_hand)
        case ActionStatus.UNKNOWN:
            if not run.reconciling:
                sentence = f"Reconcile run {run.id} of {step.label}: it may have taken effect ({run.error_message})."
                again = verbs.run_step(state.id, step.number, f"--choice {run.choice}")
                yield waiting(WaitingKind.RECONCILE, sentence, again)
        case _ if run.status in UNSUCCESSFUL and not any(other.in_flight for other in step.runs):
            other = ", choose another alternative" if len(step.choices[run.choice].commands) > 1 else ""
            sentence = f"Run {step.label} again{other}, do it by hand or skip it: {run.error_message}."
            again = verbs.run_step(state.id, step.number, f"--choice {run.choice}")
            yield waiting(WaitingKind.DECIDE, sentence, again)
        case _:
            pass


def _due(state: IncidentState, kind: DeadlineKind, reference: str) -> datetime | None:
    deadline = state.deadline(kind, reference)
    return None if deadline is None else deadline.due_at

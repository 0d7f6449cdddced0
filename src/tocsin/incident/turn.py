"""One event's worth of change: the state as it becomes and the commands asked for, and the rules of going on.

A turn lives inside one call of `decide` and is the only mutable thing of the room. It knows how steps follow each
other, how runs begin and end and what that does to deadlines and status; which event causes what is `decide`'s to say.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from tocsin.domain.actions import ActionStatus
from tocsin.domain.canonical import Json
from tocsin.domain.principals import TOCSIN
from tocsin.incident.commands import AssignRoles, ClearDeadline, Command, Execute, Preflight, SetDeadline
from tocsin.incident.events import DeadlineKind, Status
from tocsin.incident.state import (
    UNSUCCESSFUL,
    Breach,
    ByHand,
    ChoiceState,
    Deadline,
    IncidentState,
    RunState,
    StepState,
    StepStatus,
)

PROMISED = (DeadlineKind.ACKNOWLEDGE, DeadlineKind.RESPOND)


class Turn:
    """The state and the commands while one event is decided. `at` and `author` are the event's."""

    def __init__(self, state: IncidentState, at: datetime, author: str) -> None:
        self.state = state
        self.at = at
        self.author = author
        self._commands: list[Command] = []

    @property
    def result(self) -> tuple[IncidentState, tuple[Command, ...]]:
        return self.state, tuple(self._commands)

    def ask(self, command: Command) -> None:
        self._commands.append(command)

    # Deadlines

    def set_deadline(self, kind: DeadlineKind, reference: str, due_at: datetime) -> None:
        others = tuple(d for d in self.state.deadlines if (d.kind, d.reference) != (kind, reference))
        self.state = replace(self.state, deadlines=(*others, Deadline(kind, reference, due_at)))
        self.ask(SetDeadline(kind, reference, due_at))

    def clear_deadline(self, kind: DeadlineKind, reference: str) -> None:
        deadline = self.state.deadline(kind, reference)
        if deadline is not None:
            self.state = replace(self.state, deadlines=tuple(d for d in self.state.deadlines if d != deadline))
            self.ask(ClearDeadline(kind, reference))

    def keep_promises(self) -> None:
        """Sets what the severity promises and is neither fulfilled nor breached, counted from the declaration."""
        state = self.state
        fulfilled = {DeadlineKind.ACKNOWLEDGE: state.acknowledged_at, DeadlineKind.RESPOND: state.responded_at}
        for kind in PROMISED:
            if fulfilled[kind] is not None or any(breach.kind is kind for breach in state.breaches):
                continue
            within = state.promises.within(kind, state.severity)
            if within is None:
                self.clear_deadline(kind, state.id)
            else:
                self.set_deadline(kind, state.id, state.declared_at + within)

    def breach(self, kind: DeadlineKind, reference: str, due_at: datetime) -> None:
        self.state = replace(self.state, breaches=(*self.state.breaches, Breach(kind, reference, due_at, self.at)))

    # People and status

    def fill_roles(self) -> None:
        """Asks for the roles that a P0 lacks: it activates the incident command system."""
        if self.state.unfilled_roles:
            self.ask(AssignRoles(self.state.unfilled_roles))

    def acknowledge(self) -> None:
        """A person who acts has acknowledged."""
        if self.author == TOCSIN.id or self.state.acknowledged_at is not None:
            return
        self.state = replace(self.state, acknowledged_at=self.at, acknowledged_by=self.author)
        self.clear_deadline(DeadlineKind.ACKNOWLEDGE, self.state.id)
        if self.state.status is Status.TRIGGERED:
            self.move_to(Status.ACKNOWLEDGED)

    def respond(self) -> None:
        """A person who works on it has responded. What Tocsin does by itself is no response of people."""
        if self.author == TOCSIN.id:
            return
        self.acknowledge()
        if self.state.responded_at is None:
            self.state = replace(self.state, responded_at=self.at)
            self.clear_deadline(DeadlineKind.RESPOND, self.state.id)
        if self.state.status in (Status.TRIGGERED, Status.ACKNOWLEDGED):
            self.move_to(Status.INVESTIGATING)

    def move_to(self, status: Status) -> None:
        self.state = replace(self.state, status=status)

    def mitigated(self) -> None:
        """Notes when the harm was first stopped."""
        if self.state.mitigated_at is None:
            self.state = replace(self.state, mitigated_at=self.at)

    def close(self, status: Status, reason: str) -> None:
        """Ends the incident: what has not begun never will, and nothing is due any more."""
        self.respond()
        for run in tuple(self.state.runs()):
            self.withdraw(run)
        for deadline in self.state.deadlines:
            self.clear_deadline(deadline.kind, deadline.reference)
        self.state = replace(
            self.state,
            status=status,
            closed_reason=reason,
            resolved_at=self.at if status is Status.RESOLVED else None,
        )

    def reopen(self) -> None:
        """Goes on where it was closed: steps that were under way begin anew, failed ones still wait for a person."""
        self.state = replace(self.state, status=Status.INVESTIGATING, closed_reason=None, resolved_at=None)
        for step in self.state.steps:
            if step.status in (StepStatus.ACTIVE, StepStatus.FAILED):
                self.activate(replace(step, choices=tuple(_without_withdrawn(choice) for choice in step.choices)))
        self.next_step()

    # Steps

    def next_step(self) -> None:
        """Activates the first unfinished step if it has not begun."""
        unfinished = next((step for step in self.state.steps if not step.status.finished), None)
        if unfinished is not None and unfinished.status is StepStatus.PENDING:
            self.activate(unfinished)

    def activate(self, step: StepState, reason: str | None = None) -> None:
        """Begins a step (again): its budget runs from now, up to the upper end of a range."""
        step = replace(step, status=StepStatus.ACTIVE, started_at=self.at, finished_at=None, reason=reason)
        self.state = self.state.with_step(step)
        if step.budget is not None:
            self.set_deadline(DeadlineKind.STEP_BUDGET, str(step.number), self.at + step.budget.most)
        self.go_on(step.number)

    def repeat(self, step: StepState, choice: ChoiceState | None, reason: str) -> None:
        """Begins a finished step again.

        With a choice only that one is repeated. Without, a step that was done is repeated as a whole, while one that
        was skipped takes up what was left; a condition that did not hold is asked again.
        """
        as_a_whole = choice is None and step.status is StepStatus.DONE
        choices = tuple(
            replace(each, current=None)
            if as_a_whole or not each.settled or (choice is not None and each.number == choice.number)
            else each
            for each in step.choices
        )
        items = tuple(replace(item, tick=None) for item in step.items) if as_a_whole else step.items
        asked = None if step.condition_holds is False else step.condition_holds
        self.activate(replace(step, choices=choices, items=items, condition_holds=asked), reason)

    def go_on(self, number: int) -> None:
        """Does what an open step needs next, and says how it stands.

        One run at a time: the next choice begins when the one before is settled, and a failed one waits for a person.
        """
        step = self.state.step(number)
        if step is None or not self.state.is_open or step.status not in (StepStatus.ACTIVE, StepStatus.FAILED):
            return
        if step.condition_open or any(run.in_flight for run in step.runs):
            self._mark(step, StepStatus.ACTIVE)
            return
        choice = step.unsettled
        if choice is None:
            if all(item.tick is not None for item in step.items):
                self.finish(step, StepStatus.DONE, step.reason if step.status is StepStatus.ACTIVE else None)
            else:
                self._mark(step, StepStatus.ACTIVE)
        elif choice.run is None:
            self.start_run(step, choice)
        elif choice.run.status in UNSUCCESSFUL:
            self._mark(step, StepStatus.FAILED, choice.run.error_message)
        else:
            self._mark(step, StepStatus.ACTIVE)

    def _mark(self, step: StepState, status: StepStatus, reason: str | None = None) -> None:
        """Says how an open step stands; the reason for a failure goes when the failure does."""
        kept = step.reason if step.status is status else None
        self.state = self.state.with_step(replace(step, status=status, reason=reason or kept))

    def finish(self, step: StepState, status: StepStatus, reason: str | None) -> None:
        """Ends a step as done or skipped, withdraws what had not begun to act, and goes on to the next step.

        After the last one there is only watching.
        """
        for run in step.runs:
            self.withdraw(run)
        step = self.state.step(step.number) or step
        self.state = self.state.with_step(replace(step, status=status, finished_at=self.at, reason=reason))
        self.clear_deadline(DeadlineKind.STEP_BUDGET, str(step.number))
        if all(each.status.finished for each in self.state.steps):
            self.move_to(Status.MONITORING)
        else:
            self.next_step()

    # Runs

    def start_run(self, step: StepState, choice: ChoiceState) -> None:
        """Begins the next attempt at a choice; its name follows from its place, so that it is the same in a replay."""
        if choice.run is not None:
            self.withdraw(choice.run)
            step = self.state.step(step.number) or step
            choice = step.choices[choice.number]
        attempt = len(choice.runs) + 1
        run = RunState(
            id=f"{self.state.id}/{step.number}.{choice.number}.{attempt}",
            step=step.number,
            choice=choice.number,
            attempt=attempt,
            alternatives=choice.wanted,
            started_at=self.at,
        )
        self._mark(step.with_choice(replace(choice, runs=(*choice.runs, run), current=run.id)), StepStatus.ACTIVE)
        self.ask(Preflight(run.id, step.number, choice.number, choice.wanted))

    def execute(self, run: RunState) -> None:
        """Lets a run change the world. It has the approvals it needs, or needs none."""
        self.clear_deadline(DeadlineKind.APPROVAL_WAIT, run.id)
        self.state = self.state.with_run(replace(run, status=ActionStatus.RUNNING))
        if run.changes_something:
            self.move_to(Status.MITIGATING)
        self.ask(Execute(run.id))

    def end_run(self, run: RunState, status: ActionStatus, error: Mapping[str, Json] | None) -> None:
        """Records how a run ended and goes on with its step."""
        ended = replace(run, status=status, error=error, reconciling=False, finished_at=self.at)
        self.state = self.state.with_run(ended)
        if status is ActionStatus.VERIFIED and ended.changes_something:
            self.mitigated()
        self.go_on(run.step)

    def settle_by_hand(self, run: RunState, done: ByHand) -> None:
        """A person did it; what Tocsin proposed or waited with is withdrawn."""
        self.withdraw(run)
        run = self.state.run(run.id) or run
        self.state = self.state.with_run(replace(run, by_hand=done, finished_at=self.at))
        self.go_on(run.step)

    def withdraw(self, run: RunState) -> None:
        """Takes back a run that has not begun to act. One that acts, or may have, is never taken back."""
        if run.status in (ActionStatus.PREFLIGHT, ActionStatus.WAITING):
            self.clear_deadline(DeadlineKind.APPROVAL_WAIT, run.id)
            self.state = self.state.with_run(replace(run, status=ActionStatus.SKIPPED, finished_at=self.at))


def _without_withdrawn(choice: ChoiceState) -> ChoiceState:
    """The choice ready for a new attempt if its run was withdrawn."""
    withdrawn = choice.run is not None and choice.run.status is ActionStatus.SKIPPED and not choice.settled
    return replace(choice, current=None) if withdrawn else choice

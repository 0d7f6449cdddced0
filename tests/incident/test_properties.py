"""Whatever happens in whatever order, sensible or not, these things hold of an incident."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from incident.story import Story, budget, choice, emergency, finished, items, plan, step
from incident.strategies import any_event
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.principals import TOCSIN, Approval
from tocsin.incident.codec import event_from_json, event_to_json
from tocsin.incident.commands import ClearDeadline, Command, Execute, Preflight, Reconcile, SetDeadline
from tocsin.incident.decide import outstanding
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    CommandDone,
    ConditionAnswered,
    DeadlineKind,
    DeadlineReached,
    Event,
    ItemTicked,
    PlanApproved,
    PlanProposed,
    Reopened,
    Resolved,
    RunFired,
    RunManual,
    RunRefused,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.state import CLOSED, MAY_HAVE_EFFECT, IncidentState, RunState, StepStatus
from tocsin.incident.waiting import Waiting, WaitingKind, waiting_for

PROCEDURE = emergency(
    step(1, "Pause", within=budget(5), choices=(choice("pauseAll", "setPaused"), choice("isPaused"))),
    step(2, "Refill", condition="if critical", choices=(choice("transfer", "txproxy"),), checklist=items("Tell")),
    step(3, "Investigate", within=budget(240, least=60), checklist=items("Look", "Think")),
    step(4, "Recover"),
)
PEOPLE = ["alice", "bob", "carol"]

people = st.sampled_from(PEOPLE)
step_numbers = st.integers(1, 4)
reasons = st.sampled_from(["", "because"])
modes = st.sampled_from(
    [Autonomy.ACT, Autonomy.ACT, Autonomy.ACT, Autonomy.ASK_THEN_ACT, Autonomy.ASK, Autonomy.OBSERVE]
)
BEFORE_RUNNING = (ActionStatus.PREFLIGHT, ActionStatus.WAITING, ActionStatus.OBSERVED)
OUTCOMES = [
    ActionStatus.UNKNOWN,
    ActionStatus.VERIFIED,
    ActionStatus.FAILED,
    ActionStatus.PARTIAL,
    ActionStatus.REFUSED,
    ActionStatus.WAITING,
]


class IncidentMachine(RuleBasedStateMachine):
    """A story with people who act sensibly, people who don't, and a runner that answers some of its commands."""

    story: Story
    deadlines: dict[tuple[DeadlineKind, str], object]
    executed: set[str]

    @initialize(mode=modes)
    def declared(self, mode: Autonomy) -> None:
        self.story = Story(PROCEDURE, mode=mode)
        self.deadlines = {}
        self.executed = set()
        for command in self.story.commands:
            self._carry_out(command, before=None)

    # What happens

    @rule(author=people | st.just(TOCSIN.id), event=any_event)
    def anything(self, author: str, event: Event) -> None:
        if not isinstance(event, ClosedAsFalseAlarm):
            self._happens(author, event)

    @rule(minutes=st.integers(0, 20))
    def time_passes(self, minutes: int) -> None:
        self.story.passes(timedelta(minutes=minutes))

    @precondition(lambda self: self._with_status(ActionStatus.PREFLIGHT))
    @rule(
        data=st.data(),
        autonomy=modes,
        needed=st.sampled_from([1, 1, 0, 2, 3]),
        action=st.sampled_from(["contract.pause", "contract.read"]),
    )
    def preflight_passes(self, data: st.DataObject, autonomy: Autonomy, needed: int, action: str) -> None:
        run = data.draw(st.sampled_from(self._with_status(ActionStatus.PREFLIGHT)))
        alternative = data.draw(st.sampled_from(run.alternatives))
        self._happens(TOCSIN.id, PlanProposed(run.id, alternative, plan(run.id, action, needed), autonomy))

    @precondition(lambda self: self._with_status(*BEFORE_RUNNING))
    @rule(data=st.data())
    def reflex_has_fired(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self._with_status(*BEFORE_RUNNING)))
        fired = RunFired(run.id, run.alternatives[0], plan(run.id), f"reflex/{run.id}", ("alice", "bob"))
        self._happens(TOCSIN.id, fired)

    @precondition(lambda self: self._with_status(ActionStatus.PREFLIGHT))
    @rule(data=st.data(), manual=st.booleans())
    def preflight_finds_no_way(self, data: st.DataObject, manual: bool) -> None:
        run = data.draw(st.sampled_from(self._with_status(ActionStatus.PREFLIGHT)))
        event = RunManual(run.id, run.alternatives[0], "no shell") if manual else RunRefused(run.id, {"code": "no"})
        self._happens(TOCSIN.id, event)

    @precondition(lambda self: self._with_status(ActionStatus.WAITING, ActionStatus.OBSERVED))
    @rule(data=st.data(), by=people, signed_by=people, valid=st.integers(0, 30), right=st.booleans())
    def approval_of_any_kind(self, data: st.DataObject, by: str, signed_by: str, valid: int, right: bool) -> None:
        run = data.draw(st.sampled_from(self._with_status(ActionStatus.WAITING, ActionStatus.OBSERVED)))
        plan_hash = run.plan.hash if run.plan is not None and right else "another plan"
        now = self.story.now
        given = Approval(signed_by, plan_hash, "signature", now, now + timedelta(minutes=valid))
        self._happens(by, PlanApproved(run.id, given))

    @precondition(lambda self: self._with_status(ActionStatus.PREFLIGHT, *MAY_HAVE_EFFECT))
    @rule(data=st.data(), status=st.sampled_from(OUTCOMES))
    def runner_goes_on(self, data: st.DataObject, status: ActionStatus) -> None:
        run = data.draw(st.sampled_from(self._with_status(ActionStatus.PREFLIGHT, *MAY_HAVE_EFFECT)))
        if run.status is ActionStatus.PREFLIGHT:
            self._happens(TOCSIN.id, PlanProposed(run.id, run.alternatives[0], plan(run.id), Autonomy.ACT))
        else:
            self._happens(TOCSIN.id, finished(run.id, status))

    @precondition(lambda self: self._with_status(*MAY_HAVE_EFFECT))
    @rule(data=st.data(), status=st.sampled_from(OUTCOMES))
    def run_ends(self, data: st.DataObject, status: ActionStatus) -> None:
        run = data.draw(st.sampled_from(self._with_status(*MAY_HAVE_EFFECT)))
        self._happens(TOCSIN.id, finished(run.id, status))

    @rule(
        by=people,
        number=step_numbers,
        reason=reasons,
        which=st.none() | st.integers(0, 1),
        alternative=st.none() | st.integers(0, 1),
    )
    def step_requested(self, by: str, number: int, reason: str, which: int | None, alternative: int | None) -> None:
        self._happens(by, StepRequested(number, reason, which, alternative))

    @precondition(lambda self: len(self.story.log) > 15)
    @rule(by=people, number=step_numbers, reason=reasons)
    def step_skipped(self, by: str, number: int, reason: str) -> None:
        self._happens(by, StepSkipped(number, reason))

    @rule(by=people, number=step_numbers, which=st.integers(0, 1), alternative=st.integers(0, 1))
    def done_by_hand(self, by: str, number: int, which: int, alternative: int) -> None:
        self._happens(by, CommandDone(number, which, alternative, "by hand"))

    @precondition(lambda self: bool(waiting_for(self.story.state)))
    @rule(data=st.data(), by=people)
    def somebody_does_what_is_asked(self, data: st.DataObject, by: str) -> None:
        waiting = data.draw(st.sampled_from(waiting_for(self.story.state)))
        event = self._answer(waiting, by)
        if waiting.kind is not WaitingKind.APPROVE:  # the same person may have approved already
            assert self.story.refused(by, event) is None, "what people are asked to do applies"
        self._happens(by, event)

    @precondition(lambda self: self.story.state.deadlines)
    @rule(data=st.data(), stale=st.booleans())
    def deadline_reached(self, data: st.DataObject, stale: bool) -> None:
        deadline = data.draw(st.sampled_from(self.story.state.deadlines))
        self.story.now = max(self.story.now, deadline.due_at)
        due_at = deadline.due_at - timedelta(minutes=1) if stale else deadline.due_at
        self._happens(TOCSIN.id, DeadlineReached(deadline.kind, deadline.reference, due_at))

    @precondition(lambda self: len(self.story.log) > 15)
    @rule(by=people)
    def false_alarm(self, by: str) -> None:
        self._happens(by, ClosedAsFalseAlarm("a planned payout"))

    @precondition(lambda self: not self.story.state.is_open)
    @rule(by=people)
    def reopened(self, by: str) -> None:
        self._happens(by, Reopened("again"))

    def _answer(self, waiting: Waiting, by: str) -> Event:
        """The event that a person records who does what is asked."""
        number, which = waiting.step or 0, waiting.choice or 0
        match waiting.kind:
            case WaitingKind.ACKNOWLEDGE:
                return Acknowledged()
            case WaitingKind.APPROVE:
                return self.story.approval(waiting.run or "", by)
            case WaitingKind.ANSWER:
                return ConditionAnswered(number, holds=True, reason="")
            case WaitingKind.DO:
                return CommandDone(number, which, 0, "by hand")
            case WaitingKind.TICK:
                return ItemTicked(number, waiting.item or 0, "")
            case WaitingKind.DECIDE | WaitingKind.RECONCILE:
                return StepRequested(number, "", which)
            case WaitingKind.RESOLVE:
                return Resolved("done")

    # What must hold of every event

    def _happens(self, author: str, event: Event) -> None:
        before = self.story.state
        refused = self.story.refused(author, event)
        commands = self.story.record(author, event)
        after = self.story.state
        if refused is not None:
            assert refused.strip()
            assert (after, commands) == (before, ())
        if after.status in CLOSED:
            assert all(isinstance(command, ClearDeadline) for command in commands)
            if before.status in CLOSED:
                assert commands == ()
        for command in commands:
            self._carry_out(command, before)

    def _carry_out(self, command: Command, before: IncidentState | None) -> None:
        match command:
            case SetDeadline():
                self.deadlines[command.kind, command.reference] = command.due_at
            case ClearDeadline():
                del self.deadlines[command.kind, command.reference]
            case Preflight():
                self._preflight_is_allowed(command, before)
            case Execute():
                self._execution_is_allowed(command)
            case Reconcile():
                assert self._run(command.run).status is ActionStatus.UNKNOWN
            case _:
                pass

    def _preflight_is_allowed(self, command: Preflight, before: IncidentState | None) -> None:
        siblings = [
            run
            for run in (before.runs() if before is not None else ())
            if (run.step, run.choice) == (command.step, command.choice)
        ]
        assert command.run not in {run.id for run in siblings}, "a run has one preflight"
        # The event that asks for the new run may have settled the old one; it must not be uncertain afterwards.
        for sibling in siblings:
            assert self._run(sibling.id).status not in MAY_HAVE_EFFECT
        found = self.story.state.step(command.step)
        assert found is not None
        assert not found.condition_open
        assert found.condition_holds is not False

    def _execution_is_allowed(self, command: Execute) -> None:
        """Counts the approvals in the log itself, without asking the state."""
        assert command.run not in self.executed, "a run is carried out once"
        self.executed.add(command.run)
        if isinstance(self.story.log[-1].event, RunFired):
            assert self.story.log[-1].principal == TOCSIN.id, "only Tocsin knows that a reflex has fired"
            return
        proposal, approvers = self._consent(command.run)
        autonomy = Autonomy.strictest(self.story.state.mode, proposal.autonomy)
        needed = proposal.plan.approvals_needed
        assert autonomy is not Autonomy.OBSERVE
        cause = self.story.log[-1].event
        waited = (
            autonomy is Autonomy.ASK_THEN_ACT
            and isinstance(cause, DeadlineReached)
            and cause.kind is DeadlineKind.APPROVAL_WAIT
            and cause.reference == command.run
        )
        if needed > 1:
            assert len(approvers) >= needed
        elif autonomy is not Autonomy.ACT and not waited:
            assert approvers

    def _consent(self, run: str) -> tuple[PlanProposed, set[str]]:
        """The plan of a run, and who has approved exactly that, by themselves, and validly until now."""
        proposal: PlanProposed | None = None
        approvers: set[str] = set()
        for recorded in self.story.log:
            match recorded.event:
                case PlanProposed() as event if event.run == run and recorded.principal == TOCSIN.id:
                    if proposal is None and event.plan == self._run(run).plan:
                        proposal = event
                case PlanApproved() as event if event.run == run and proposal is not None:
                    given = event.approval
                    by_themselves = given.principal == recorded.principal != TOCSIN.id
                    if by_themselves and given.plan_hash == proposal.plan.hash and self.story.now < given.expires_at:
                        approvers.add(given.principal)
                case _:
                    pass
        assert proposal is not None, "nothing runs without a plan"
        return proposal, approvers

    # What must hold at every moment

    @invariant()
    def deadlines_that_were_set_are_open_until_cleared_or_reached(self) -> None:
        assert {(due.kind, due.reference): due.due_at for due in self.story.state.deadlines} == self.deadlines

    @invariant()
    def a_deadline_is_open_only_while_what_it_limits_is(self) -> None:
        state = self.story.state
        for due in state.deadlines:
            match due.kind:
                case DeadlineKind.ACKNOWLEDGE:
                    assert state.acknowledged_at is None
                case DeadlineKind.RESPOND:
                    assert state.responded_at is None
                case DeadlineKind.STEP_BUDGET:
                    limited = state.step(int(due.reference))
                    assert limited is not None
                    assert limited.status in (StepStatus.ACTIVE, StepStatus.FAILED)
                case DeadlineKind.APPROVAL_WAIT:
                    assert self._run(due.reference).status is ActionStatus.WAITING

    @invariant()
    def a_closed_incident_has_nothing_left_to_do(self) -> None:
        state = self.story.state
        if not state.is_open:
            assert outstanding(state) == ()
            assert waiting_for(state) == ()
            assert not any(run.status in MAY_HAVE_EFFECT or run.in_flight for run in state.runs())

    @invariant()
    def one_run_of_a_choice_is_in_flight_and_only_the_current_one(self) -> None:
        for each in self.story.state.steps:
            assert sum(run.in_flight for run in each.runs) <= 1, "commands run one after the other"
            for one in each.choices:
                old = [run for run in one.runs if run is not one.run]
                assert not any(run.in_flight or run.status in MAY_HAVE_EFFECT for run in old)
                assert [run.attempt for run in one.runs] == list(range(1, len(one.runs) + 1))

    @invariant()
    def steps_say_truly_how_they_stand(self) -> None:
        for each in self.story.state.steps:
            match each.status:
                case StepStatus.DONE:
                    assert all(one.settled for one in each.choices)
                    assert all(item.tick is not None for item in each.items)
                case StepStatus.SKIPPED:
                    assert each.reason
                    assert each.uncertain is None
                case StepStatus.PENDING:
                    assert not each.runs
                case StepStatus.FAILED:
                    assert any(not run.settled for run in each.runs)
                case StepStatus.ACTIVE:
                    assert each.started_at is not None

    @invariant()
    def an_open_incident_never_stands_still_without_saying_what_it_waits_for(self) -> None:
        state = self.story.state
        if not state.is_open:
            return
        at_work = any(run.in_flight or run.status in MAY_HAVE_EFFECT for run in state.runs())
        people_asked = [waiting for waiting in waiting_for(state) if waiting.kind is not WaitingKind.ACKNOWLEDGE]
        assert at_work or people_asked

    @invariant()
    def nothing_acts_in_observe_mode(self) -> None:
        # A reflex that was armed by people and has fired is a fact, whatever the mode was when the incident began.
        fired = {run.id for run in self.story.state.runs() if run.outbox_key is not None}
        if self.story.state.mode is Autonomy.OBSERVE:
            assert self.executed <= fired

    def teardown(self) -> None:
        if hasattr(self, "story"):
            assert self.story.replayed() == self.story.state
            for recorded in self.story.log:
                assert event_from_json(*event_to_json(recorded.event)) == recorded.event

    def _with_status(self, *statuses: ActionStatus) -> list[RunState]:
        return [run for run in self.story.state.runs() if run.status in statuses]

    def _run(self, run: str) -> RunState:
        return self.story.run(run)


IncidentMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestIncident = cast("Callable[[], None]", IncidentMachine.TestCase)

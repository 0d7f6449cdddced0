"""Whatever crashes, gets lost or is repeated: one effect a run, none without consent, and a log that only grows.

The workflow here is as forgetful as it gets: it keeps its commands in memory only, and every crash begins a new one
from the log (`outstanding`). The durable engine remembers more; `test_crash` tries that one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from fakes.event_log import MemoryEventLog
from respond.house import MIDNIGHT, PEOPLE, is_signature, open_house, public_key
from respond.mortal import Crash, Doom, DoomedEventLog, WatchedWorld, Workflow
from respond.world import Pause, TwoPersonPause
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.principals import TOCSIN, approval_message
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    DeadlineReached,
    Event,
    PlanApproved,
    PlanProposed,
    Recorded,
    Reopened,
    RunFinished,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.state import UNSUCCESSFUL, RunState

ANSWERS: dict[str, Callable[[], Exception]] = {
    "refused": lambda: Refused("no", "it would fail"),
    "unavailable": lambda: Unavailable("down", "no node answers"),
    "failed": lambda: Failed("failed", "it FAULTed"),
    "unknown": lambda: OutcomeUnknown("unknown", "no node said"),
    "bug": lambda: RuntimeError("nobody foresaw this"),
}
CALLS = ["preflight pauseAll", "preflight setPaused", "run", "verify", "recall"]
people = st.sampled_from(PEOPLE)
autonomies = st.sampled_from([Autonomy.ACT, Autonomy.ASK_THEN_ACT, Autonomy.ACT, Autonomy.ASK, Autonomy.OBSERVE])
crashes = st.none() | st.none() | st.integers(0, 6)
"""After how many of its traces (appends, changes of the world) a process ends."""


class RunnerMachine(RuleBasedStateMachine):
    """People, an outside world that fails in every way, and a process that ends at any moment."""

    @initialize(mode=autonomies, setting=autonomies, two=st.booleans(), inferred=st.booleans())
    def declared(self, mode: Autonomy, setting: Autonomy, two: bool, inferred: bool) -> None:
        self.loop = asyncio.Runner()
        self.quiet = ExitStack()
        self.quiet.enter_context(capture_logs())
        self.doom = Doom()
        inner = MemoryEventLog()
        pause: type[Pause] = TwoPersonPause if two else Pause
        self.needed = pause.approvals
        self.setting = setting
        self.inferred = inferred
        self.log = DoomedEventLog(inner, self.doom)
        self.world = WatchedWorld(doom=self.doom, may=self._was_consented_to)
        self.house = self.loop.run(
            open_house(
                world=self.world,
                pause=pause,
                mode=mode,
                autonomy={"contract.pause": setting},
                inferred=inferred,
                log=self.log,
                index=inner,
                clock=ManualClock(MIDNIGHT),
            )
        )
        self.loop.run(self.house.declare())
        self.workflow = self.loop.run(Workflow.begin(self.house))
        self.told: tuple[Recorded, ...] = ()
        self._go_on(None)

    def _was_consented_to(self, run: str) -> bool:
        """Counts the consents in the log itself, with nothing of the code under test."""
        log = self.log.history
        proposed = next(r for r in log if isinstance(r.event, PlanProposed) and r.event.run == run)
        assert isinstance(proposed.event, PlanProposed)
        plan, now = proposed.event.plan, self.house.clock.now()
        consents = {
            r.event.approval.principal
            for r in log
            if isinstance(r.event, PlanApproved)
            and r.event.run == run
            and r.principal == r.event.approval.principal
            and r.event.approval.plan_hash == plan.hash
            and now < r.event.approval.expires_at
            and is_signature(
                public_key(r.principal),
                approval_message(plan.hash, r.event.approval.expires_at),
                r.event.approval.signature,
            )
        }
        source = Autonomy.ASK if self.inferred else Autonomy.ACT
        autonomy = Autonomy.strictest(self.workflow.state.mode, self.setting, source)
        waited = now >= proposed.at + self.workflow.state.promises.approval_wait
        by_itself = autonomy is Autonomy.ACT or (autonomy is Autonomy.ASK_THEN_ACT and waited)
        enough = len(consents) >= self.needed if self.needed > 1 else bool(consents) or by_itself
        return enough and autonomy is not Autonomy.OBSERVE

    # What happens. (Hypothesis leaves rules out at random, so every rule lets the process go on by itself.)

    @rule(by=people, crash_after=crashes)
    def somebody_does_what_is_asked(self, by: str, crash_after: int | None) -> None:
        for run in self._with_status(ActionStatus.WAITING, *UNSUCCESSFUL):
            if run.status is not ActionStatus.WAITING:
                self._say(by, StepRequested(run.step, "again", run.choice))
            elif run.plan is not None:
                self._say(by, self.loop.run(self.house.approval(by, run.id)))
        self._go_on(crash_after)

    @rule(by=people, step=st.integers(1, 2), alternative=st.none() | st.integers(0, 1), crash_after=crashes)
    def somebody_asks_for_a_step(self, by: str, step: int, alternative: int | None, crash_after: int | None) -> None:
        self._say(by, StepRequested(step, "now", 0, alternative))
        self._go_on(crash_after)

    @rule(by=people, event=st.sampled_from([Acknowledged(), StepSkipped(1, "no time"), Reopened("again")]))
    def somebody_says_something(self, by: str, event: Event) -> None:
        self._say(by, event)
        self._go_on(None)

    @precondition(lambda self: len(self.log.history) > 20)
    @rule(by=people)
    def somebody_closes_it(self, by: str) -> None:
        self._say(by, ClosedAsFalseAlarm("a planned payout"))
        self._go_on(None)

    @rule(by=people, crash_after=crashes)
    def somebody_forges_approvals(self, by: str, crash_after: int | None) -> None:
        for run in self._with_status(ActionStatus.WAITING):
            if run.plan is not None:
                self.loop.run(self.house.smuggles(self.loop.run(self.house.forged(by, run.id)), by))
        self._go_on(crash_after)

    @rule(call=st.sampled_from(CALLS), answer=st.sampled_from(sorted(ANSWERS)), holds=st.booleans())
    def the_world_will_not_do_as_asked(self, call: str, answer: str, holds: bool) -> None:
        self.world.holds = holds
        if not self.world.answers[call]:
            self.world.answers[call].append(ANSWERS[answer]())

    @precondition(lambda self: not self.world.lost)
    @rule(error=st.sampled_from(["unknown", "bug"]))
    def a_reply_will_be_lost(self, error: str) -> None:
        self.world.lost.append(ANSWERS[error]())

    @rule(minutes=st.integers(0, 20), crash_after=crashes)
    def time_passes(self, minutes: int, crash_after: int | None) -> None:
        self.house.clock.advance(timedelta(minutes=minutes))
        for due in self.loop.run(self.house.state()).deadlines:
            if due.due_at <= self.house.clock.now():
                self._say(TOCSIN.id, DeadlineReached(due.kind, due.reference, due.due_at))
        self._go_on(crash_after)

    @precondition(lambda self: self.workflow.done)
    @rule(data=st.data(), crash_after=crashes)
    def a_command_is_carried_out_again(self, data: st.DataObject, crash_after: int | None) -> None:
        command = data.draw(st.sampled_from(self.workflow.done))
        self._process(self.workflow.carry_out(command), crash_after)

    @rule()
    def the_process_ends(self) -> None:
        self.workflow = self.loop.run(Workflow.begin(self.house))

    def _say(self, by: str, event: Event) -> None:
        async def say() -> None:
            with suppress(Refused):  # where it does not apply, nothing is recorded
                await self.house.says(by, event)

        self.loop.run(say())

    def _go_on(self, crash_after: int | None) -> None:
        self._process(self.workflow.go_on(commands_max=6), crash_after)

    def _process(self, work: Awaitable[None], crash_after: int | None) -> None:
        async def until_it_ends() -> bool:
            try:
                await work
            except Crash:
                return True
            return False

        self.doom.left = crash_after
        crashed = self.loop.run(until_it_ends())
        self.doom.left = None
        if crashed:
            self.the_process_ends()

    # What must hold

    @invariant()
    def a_run_has_one_effect_at_most(self) -> None:
        assert len(self.world.effects) == len(set(self.world.effects))
        assert set(self.world.effects) == set(self.world.changed)

    @invariant()
    def nothing_was_done_without_the_consent_it_needs(self) -> None:
        assert self.world.forbidden == []

    @invariant()
    def the_log_only_grows(self) -> None:
        history = self.log.history
        assert history[: len(self.told)] == self.told
        self.told = history
        assert len({recorded.key for recorded in history}) == len(history)

    @invariant()
    def nothing_is_said_to_have_changed_nothing_that_changed_something(self) -> None:
        """A run that had an effect may have ended verified, failed (later) or unknown, but never refused or skipped."""
        state = self.loop.run(self.house.state())
        for key in self.world.effects:
            run = state.run(key)
            assert run is not None
            assert run.status not in (ActionStatus.REFUSED, ActionStatus.SKIPPED, ActionStatus.WAITING)

    @invariant()
    def a_choice_gets_no_second_plan_while_the_first_outcome_is_unknown(self) -> None:
        last: dict[str, ActionStatus] = {}
        for recorded in self.log.history:
            match recorded.event:
                case RunFinished(run=run, status=status):
                    last[run] = status
                case PlanProposed(run=run):
                    place, _, attempt = run.rpartition(".")
                    for number in range(1, int(attempt)):
                        earlier = f"{place}.{number}"
                        if earlier in self.world.effects:
                            assert last[earlier] is not ActionStatus.UNKNOWN
                case _:
                    pass

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self._comes_to_an_end()
            self.loop.close()
            self.quiet.close()

    def _comes_to_an_end(self) -> None:
        """Once nothing fails any more, the process carries everything out, and no run stays under way."""
        self.world.answers.clear()
        self.world.lost.clear()
        self.the_process_ends()
        self._process(self.workflow.go_on(commands_max=50), None)
        assert not self.workflow.commands
        assert not self._with_status(ActionStatus.PREFLIGHT)
        assert not self._with_status(ActionStatus.RUNNING)
        assert not any(run.reconciling for run in self._with_status(ActionStatus.UNKNOWN))
        self.a_run_has_one_effect_at_most()
        self.the_log_only_grows()

    def _with_status(self, *statuses: ActionStatus) -> list[RunState]:
        state = self.loop.run(self.house.state())
        return [run for run in state.runs() if run.status in statuses]


RunnerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRunner = cast("Callable[[], None]", RunnerMachine.TestCase)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_same_over_many_more_lives() -> None:
    run_state_machine_as_test(RunnerMachine, settings=settings(RunnerMachine.TestCase.settings, max_examples=500))

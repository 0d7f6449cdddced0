"""Whatever crashes, gets lost or is repeated: one effect a run, none that people did not consent to, and one growing log.

The workflow here is as forgetful as it gets: it keeps its commands in memory only, and every crash begins a new one from
the log (`outstanding`). The durable engine remembers more, so what holds here holds there. `test_crash` tries that.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.event_log import MemoryEventLog
from respond.house import MIDNIGHT, PEOPLE, House, is_signature, open_house, public_key
from respond.world import Pause, TwoPersonPause
from tocsin.actions.protocol import Receipt
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.principals import TOCSIN, approval_message
from tocsin.incident.commands import ClearDeadline, Command, Execute, Preflight, Reconcile, SetDeadline
from tocsin.incident.decide import decide, outstanding
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    DeadlineKind,
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
from tocsin.incident.state import IncidentState, RunState
from tocsin.respond.ports import ChainVerdict, IncidentSummary, NewEvent

INCIDENT = "INC-2026-0001"


class Crash(BaseException):
    """The process ends here. No code under test can catch it."""


@dataclass
class Doom:
    """Counts what a process leaves behind (appends and changes of the world), and ends it when its time has come."""

    left: int | None = None

    def strikes(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Crash


class DoomedEventLog:
    """An event log before and after whose every append the process may end."""

    def __init__(self, inner: MemoryEventLog, doom: Doom) -> None:
        self._inner, self._doom = inner, doom

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        self._doom.strikes()
        recorded = await self._inner.append(incident, events, expected_seq=expected_seq)
        self._doom.strikes()
        return recorded

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        return await self._inner.read(incident, after, limit=limit)

    async def head_of_log(self) -> int:
        return await self._inner.head_of_log()

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        return await self._inner.changed_since(position)

    async def incidents(self) -> Sequence[IncidentSummary]:
        return await self._inner.incidents()

    async def verify(self, incident: str) -> ChainVerdict:
        return await self._inner.verify(incident)

    def export(self, incident: str) -> AsyncIterator[str]:
        return self._inner.export(incident)


@dataclass
class Workflow:
    """Folds the log, and carries the commands out one by one. A crash drops it."""

    house: House
    state: IncidentState
    seen: int
    commands: deque[Command] = field(default_factory=deque[Command])
    done: list[Command] = field(default_factory=list[Command])

    @classmethod
    async def begin(cls, house: House) -> "Workflow":
        history = await house.incidents.history(INCIDENT)
        state = await house.state()
        return cls(house, state, history[-1].seq, deque(outstanding(state)))

    async def catch_up(self) -> None:
        for recorded in await self.house.log.read(INCIDENT, after=self.seen, limit=1_000):
            self.state, commands = decide(self.state, recorded)
            self.commands.extend(commands)
            self.seen = recorded.seq

    async def carry_out(self, command: Command) -> None:
        runner = self.house.runner
        match command:
            case Preflight(run=run):
                await self._guarded(run, runner.preflight(INCIDENT, run), "preflight")
            case Execute(run=run):
                await self._guarded(run, runner.send(INCIDENT, run), "send")
                await self._guarded(run, runner.verify(INCIDENT, run), "verify")
            case Reconcile(run=run):
                await self._guarded(run, runner.reconcile(INCIDENT, run, str(self.seen)), f"reconcile:{self.seen}")
            case SetDeadline() | ClearDeadline():
                pass  # the machine reads the deadlines from the state
            case assign:
                await runner.assign_roles(INCIDENT, assign.roles)

    async def _guarded(self, run: str, work: Awaitable[None], attempt: str) -> None:
        try:
            await work
        except Exception as error:
            await self.house.runner.crashed(INCIDENT, run, error, attempt)


ANSWERS: dict[str, Callable[[], Exception]] = {
    "refused": lambda: Refused("no", "it would fail"),
    "unavailable": lambda: Unavailable("down", "no node answers"),
    "failed": lambda: Failed("failed", "it FAULTed"),
    "unknown": lambda: OutcomeUnknown("unknown", "no node said"),
    "bug": lambda: RuntimeError("nobody foresaw this"),
}
people = st.sampled_from(PEOPLE)
autonomies = st.sampled_from([Autonomy.ACT, Autonomy.ASK_THEN_ACT, Autonomy.ASK, Autonomy.OBSERVE])


class RunnerMachine(RuleBasedStateMachine):
    """People, an outside world that fails in every way, and a process that ends at any moment."""

    @initialize(mode=autonomies, setting=autonomies, two=st.booleans(), inferred=st.booleans())
    def declared(self, mode: Autonomy, setting: Autonomy, two: bool, inferred: bool) -> None:
        self.loop = asyncio.Runner()
        self.doom = Doom()
        inner = MemoryEventLog()
        pause: type[Pause] = TwoPersonPause if two else Pause
        self.needed = pause.approvals
        self.setting = setting
        self.inferred = inferred
        self.house = self.loop.run(
            open_house(
                pause=pause,
                mode=mode,
                autonomy={"contract.pause": setting},
                inferred=inferred,
                log=DoomedEventLog(inner, self.doom),
                index=inner,
                clock=ManualClock(MIDNIGHT),
            )
        )
        self.told: tuple[Recorded, ...] = ()
        self.effects: list[str] = []
        self._watch_world()
        self.loop.run(self.house.declare())
        self.workflow = self.loop.run(Workflow.begin(self.house))

    def _watch_world(self) -> None:
        """Judges every change of the world in the moment it is made, and may end the process before and after it."""
        world = self.house.world
        make = world.change

        def change(key: str) -> Receipt:
            self.doom.strikes()
            if key not in world.changed:
                self._was_consented_to(key)
                self.effects.append(key)
            receipt = make(key)
            self.doom.strikes()
            return receipt

        world.intercept = change

    def _was_consented_to(self, run: str) -> None:
        """Counts the consents in the log itself, with nothing of the code under test."""
        log = self.history()
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
        assert autonomy is not Autonomy.OBSERVE, "nothing acts where Tocsin only observes"
        if len(consents) >= max(1, self.needed):
            return
        assert self.needed == 1, "two people, whatever the autonomy"
        waited = now >= proposed.at + self.workflow.state.promises.approval_wait
        assert autonomy is Autonomy.ACT or (autonomy is Autonomy.ASK_THEN_ACT and waited)

    # The process

    @rule(crash_after=st.none() | st.integers(0, 6))
    def a_command_is_carried_out(self, crash_after: int | None) -> None:
        self.loop.run(self.workflow.catch_up())
        if not self.workflow.commands:
            return
        command = self.workflow.commands.popleft()
        self._process(self.workflow.carry_out(command), crash_after)
        self.workflow.done.append(command)

    @precondition(lambda self: self.workflow.done)
    @rule(data=st.data(), crash_after=st.none() | st.integers(0, 6))
    def a_command_is_carried_out_again(self, data: st.DataObject, crash_after: int | None) -> None:
        command = data.draw(st.sampled_from(self.workflow.done))
        self._process(self.workflow.carry_out(command), crash_after)

    @rule()
    def the_process_ends(self) -> None:
        self.workflow = self.loop.run(Workflow.begin(self.house))

    def _process(self, work: Awaitable[None], crash_after: int | None) -> None:
        self.doom.left = crash_after

        async def until_it_ends() -> bool:
            try:
                await work
            except Crash:
                return True
            return False

        if self.loop.run(until_it_ends()):
            self.the_process_ends()
        self.doom.left = None

    # The world

    @rule(call=st.sampled_from(["preflight pauseAll", "preflight setPaused", "run", "verify", "recall"]), data=st.data())
    def something_will_fail(self, call: str, data: st.DataObject) -> None:
        if not self.house.world.answers[call]:
            self.house.world.answers[call].append(ANSWERS[data.draw(st.sampled_from(sorted(ANSWERS)))]())

    @precondition(lambda self: not self.house.world.lost)
    @rule(error=st.sampled_from(["unknown", "bug"]))
    def a_reply_will_be_lost(self, error: str) -> None:
        self.house.world.lost.append(ANSWERS[error]())

    @rule(holds=st.booleans())
    def the_world_holds_or_not(self, holds: bool) -> None:
        self.house.world.holds = holds

    @rule(minutes=st.integers(0, 20))
    def time_passes(self, minutes: int) -> None:
        self.house.clock.advance(timedelta(minutes=minutes))

    @rule()
    def due_deadlines_are_recorded(self) -> None:
        self.loop.run(self.workflow.catch_up())
        for due in self.workflow.state.deadlines:
            if due.due_at <= self.house.clock.now():
                self._says(TOCSIN.id, DeadlineReached(due.kind, due.reference, due.due_at))

    # People

    @precondition(lambda self: self._with_status(ActionStatus.WAITING))
    @rule(by=people, forged=st.booleans(), data=st.data())
    def somebody_approves(self, by: str, forged: bool, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self._with_status(ActionStatus.WAITING)))
        if run.plan is None:
            return
        if forged:
            self.loop.run(self.house.smuggles(self.loop.run(self.house.forged(by, run.id)), by))
        else:
            self._says(by, self.loop.run(self.house.approval(by, run.id)))

    @rule(by=people, step=st.integers(1, 2), alternative=st.none() | st.integers(0, 1))
    def somebody_asks_for_a_step(self, by: str, step: int, alternative: int | None) -> None:
        self._says(by, StepRequested(step, "now", 0, alternative))

    @rule(by=people, event=st.sampled_from([Acknowledged(), StepSkipped(1, "no time"), Reopened("again")]))
    def somebody_says_something(self, by: str, event: Event) -> None:
        self._says(by, event)

    @precondition(lambda self: len(self.history()) > 20)
    @rule(by=people)
    def somebody_closes_it(self, by: str) -> None:
        self._says(by, ClosedAsFalseAlarm("a planned payout"))

    def _says(self, by: str, event: Event) -> None:
        async def say() -> None:
            try:
                await self.house.says(by, event)
            except Refused:
                pass  # it does not apply, and nothing was recorded

        self.loop.run(say())

    # What must hold

    @invariant()
    def a_run_has_one_effect_at_most(self) -> None:
        assert len(self.effects) == len(set(self.effects))
        assert set(self.effects) == set(self.house.world.changed)

    @invariant()
    def the_log_only_grows(self) -> None:
        history = self.history()
        assert history[: len(self.told)] == self.told
        self.told = history
        assert len({recorded.key for recorded in history}) == len(history)

    @invariant()
    def nothing_is_said_to_have_changed_nothing_that_changed_something(self) -> None:
        """A run that had an effect may have ended verified, failed (later) or unknown, but never refused or skipped."""
        state = self.loop.run(self.house.state())
        for key in self.effects:
            run = state.run(key)
            assert run is not None
            assert run.status not in (ActionStatus.REFUSED, ActionStatus.SKIPPED, ActionStatus.WAITING)

    @invariant()
    def a_choice_gets_no_second_effect_while_the_first_is_unknown(self) -> None:
        log = self.history()
        for recorded in log:
            if isinstance(recorded.event, PlanProposed):
                run = recorded.event.run
                place, _, attempt = run.rpartition(".")
                earlier = [f"{place}.{number}" for number in range(1, int(attempt)) if f"{place}.{number}" in self.effects]
                for each in earlier:
                    finished = [
                        r.event for r in log if isinstance(r.event, RunFinished) and r.event.run == each and r.seq < recorded.seq
                    ]
                    assert finished
                    assert finished[-1].status is not ActionStatus.UNKNOWN

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self._comes_to_an_end()
            self.loop.close()

    def _comes_to_an_end(self) -> None:
        """Once nothing fails any more, the process carries everything out, and no run stays under way."""
        world = self.house.world
        world.answers.clear()
        world.lost.clear()
        self.the_process_ends()
        for _ in range(50):
            self.loop.run(self.workflow.catch_up())
            if not self.workflow.commands:
                break
            self._process(self.workflow.carry_out(self.workflow.commands.popleft()), None)
        assert not self.workflow.commands
        assert not self._with_status(ActionStatus.PREFLIGHT)
        assert not self._with_status(ActionStatus.RUNNING)
        self.a_run_has_one_effect_at_most()
        self.the_log_only_grows()

    def history(self) -> tuple[Recorded, ...]:
        async def read() -> tuple[Recorded, ...]:
            return tuple(await self.house.log.read(INCIDENT, limit=10_000))

        return asyncio.run(read()) if asyncio._get_running_loop() is None else ()

    def _with_status(self, status: ActionStatus) -> list[RunState]:
        state = self.loop.run(self.house.state())
        return [run for run in state.runs() if run.status is status]

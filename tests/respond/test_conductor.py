"""The durable loop on its real engine and its real store, with a world of one switch instead of a chain.

The engine is stopped and started again within the process here; `test_crash` kills whole processes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from dbos import DBOS
from structlog.testing import capture_logs

from respond.house import EMERGENCY, FILE, MIDNIGHT, NETWORK, TEXT, VARIABLES, principals, signs
from respond.world import World, catalogue
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import OutcomeUnknown, Refused
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    DeadlineKind,
    DeadlineReached,
    Event,
    PlanApproved,
    PlanProposed,
    Reopened,
    RoleAssigned,
    RunFinished,
    RunSent,
    StepRequested,
)
from tocsin.incident.state import IncidentState, RunState
from tocsin.respond.conductor import Conductor
from tocsin.respond.dbos_engine import open_engine
from tocsin.respond.incidents import Incidents
from tocsin.respond.library import Library
from tocsin.respond.runner import Rules, Runner
from tocsin.store.store import open_store

INCIDENT = "INC-2026-0001"
RUN = f"{INCIDENT}/1.0.1"
WAIT_S_MAX = 20.0
LOOK_S = 0.01


@dataclass
class Office:
    """A service without a chain: store, engine, conductor."""

    incidents: Incidents
    runner: Runner
    clock: ManualClock

    async def declare(self) -> None:
        await self.incidents.declare(EMERGENCY, principal="alice", reason="funds move")

    async def state(self) -> IncidentState:
        return await self.incidents.state(INCIDENT)

    async def events(self) -> list[Event]:
        return [recorded.event for recorded in await self.incidents.history(INCIDENT)]

    async def says(self, person: str, event: Event) -> None:
        await self.incidents.record(INCIDENT, event, person)

    async def run_is(self, *statuses: ActionStatus, run: str = RUN) -> RunState:
        """The run, once it has one of these statuses."""

        async def look() -> RunState | None:
            found = (await self.state()).run(run)
            return found if found is not None and found.status in statuses else None

        return await until(look)

    async def approves(self, person: str, run: str = RUN) -> None:
        waiting = await self.run_is(ActionStatus.WAITING, run=run)
        assert waiting.plan is not None
        approval = self.runner.principals.approve(person, waiting.plan, signs(person), self.clock.now())
        await self.says(person, PlanApproved(run, approval))


async def until[T](look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def office(folder: Path, clock: ManualClock, world: World, *, at_work: bool = True) -> AsyncGenerator[Office]:
    """Opens for business; with `at_work` it carries incidents on until the end of the block."""
    people = principals()
    async with open_store(folder, clock) as store, open_engine(folder / "workflows.sqlite"):
        library = Library(store.runbooks, people, clock)
        for person in ("alice", "bob"):
            await library.accept(TEXT.encode(), FILE, person, signs(person))
        incidents = Incidents(store.events, store.incidents, library, people, clock, Autonomy.ACT, lambda: None)
        rules = Rules(Autonomy.ACT, {}, VARIABLES, {"IC": ("alice",)}, NETWORK)
        runner = Runner(incidents, catalogue(world), store.leases, people, clock, rules)
        conductor = Conductor(runner, store.events, store.deadlines)
        DBOS.launch()
        duties = (conductor.watch(), conductor.keep_deadlines()) if at_work else ()
        tasks = [asyncio.create_task(duty) for duty in duties]
        try:
            yield Office(incidents, runner, clock)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


async def test_a_declared_incident_is_carried_on_to_its_verified_end(tmp_path: Path) -> None:
    world = World()
    async with office(tmp_path, ManualClock(MIDNIGHT), world) as open_:
        await open_.declare()
        await open_.approves("alice")
        await open_.run_is(ActionStatus.VERIFIED)
        # The next step begins by itself; its command only reads, so it needs nobody.
        await open_.run_is(ActionStatus.VERIFIED, run=f"{INCIDENT}/2.0.1")
        assert list(world.changed) == [RUN]
        assert dict((await open_.state()).roles) == {"IC": "alice"}


async def test_an_incident_goes_on_with_the_next_service(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.run_is(ActionStatus.WAITING)
    async with office(tmp_path, clock, world) as second:
        await second.approves("alice")
        await second.run_is(ActionStatus.VERIFIED)
        events = await second.events()
        for kind in (RoleAssigned, PlanProposed, PlanApproved, RunSent):
            assert sum(isinstance(event, kind) for event in events) == 1, kind


async def test_what_is_said_while_no_service_runs_is_heard_by_the_next(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.run_is(ActionStatus.WAITING)
    async with office(tmp_path, clock, world, at_work=False) as desk:
        await desk.approves("alice")
    async with office(tmp_path, clock, world) as second:
        await second.run_is(ActionStatus.VERIFIED)


async def test_a_service_stopped_while_it_verifies_claims_nothing_and_verifies_later(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    verifying, never, left_off = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait_for_ever() -> None:
        verifying.set()
        try:
            await never.wait()
        finally:
            left_off.set()

    world.meanwhile["verify"] = wait_for_ever
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.approves("alice")
        await asyncio.wait_for(verifying.wait(), WAIT_S_MAX)
    assert left_off.is_set(), "left off before what it works with is closed"
    async with office(tmp_path, clock, world) as second:
        run = await second.run_is(ActionStatus.VERIFIED, ActionStatus.UNKNOWN, ActionStatus.FAILED)
        assert run.status is ActionStatus.VERIFIED
        assert list(world.changed) == [RUN]
        finished = [event for event in await second.events() if isinstance(event, RunFinished) and event.run == RUN]
        assert len(finished) == 1


async def test_a_bug_in_an_action_becomes_an_unknown_outcome_that_people_can_have_looked_up(tmp_path: Path) -> None:
    world = World()
    world.lost.append(RuntimeError("a bug"))
    with capture_logs() as logs:
        async with office(tmp_path, ManualClock(MIDNIGHT), world) as open_:
            await open_.declare()
            await open_.approves("alice")
            run = await open_.run_is(ActionStatus.UNKNOWN)
            assert run.error is not None
            assert run.error["code"] == "internal-error"
            await open_.says("alice", StepRequested(1, ""))
            await open_.run_is(ActionStatus.VERIFIED)
            assert list(world.changed) == [RUN]
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["run_crashed"]


async def test_a_lost_reply_is_looked_up_by_the_next_service_if_somebody_asks(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    world.lost.append(OutcomeUnknown("no-reply", "no node said"))
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.approves("alice")
        await first.run_is(ActionStatus.UNKNOWN)
    async with office(tmp_path, clock, world, at_work=False) as desk:
        await desk.says("alice", StepRequested(1, ""))
    async with office(tmp_path, clock, world) as second:
        await second.run_is(ActionStatus.VERIFIED)
        assert world.asked.count("run") == 1


async def test_a_reopened_incident_is_carried_on_again(tmp_path: Path) -> None:
    world = World()
    async with office(tmp_path, ManualClock(MIDNIGHT), world) as open_:
        await open_.declare()
        await open_.run_is(ActionStatus.WAITING)
        await open_.says("alice", ClosedAsFalseAlarm("a planned payout"))
        await open_.says("alice", Reopened("it was none"))
        again = f"{INCIDENT}/1.0.2"
        await open_.approves("alice", again)
        await open_.run_is(ActionStatus.VERIFIED, run=again)
        assert list(world.changed) == [again]


async def test_a_deadline_that_passed_while_no_service_ran_is_a_breach_once(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.run_is(ActionStatus.WAITING)
    clock.advance(timedelta(minutes=15))

    async def breached() -> bool | None:
        return len((await second.state()).breaches) == 2 or None

    for _ in range(2):
        async with office(tmp_path, clock, world) as second:
            await until(breached)
            state = await second.state()
            assert {breach.kind for breach in state.breaches} == {DeadlineKind.RESPOND, DeadlineKind.STEP_BUDGET}
            assert state.deadlines == ()
            reached = [event for event in await second.events() if isinstance(event, DeadlineReached)]
            assert len(reached) == 2


async def test_a_deadline_that_was_met_while_no_service_ran_is_no_breach(tmp_path: Path) -> None:
    clock, world = ManualClock(MIDNIGHT), World()
    async with office(tmp_path, clock, world) as first:
        await first.declare()
        await first.run_is(ActionStatus.WAITING)
    async with office(tmp_path, clock, world, at_work=False) as desk:
        await desk.says("alice", StepRequested(2, "look at once"))
    clock.advance(timedelta(minutes=16))

    async def breached() -> IncidentState | None:
        state = await second.state()
        return state if state.breaches else None

    async with office(tmp_path, clock, world) as second:
        state = await until(breached)
        assert DeadlineKind.RESPOND not in {breach.kind for breach in state.breaches}


async def test_only_one_service_carries_the_incidents_of_a_folder_on(tmp_path: Path) -> None:
    async with open_engine(tmp_path / "workflows.sqlite"):
        with pytest.raises(Refused) as refused:
            async with open_engine(tmp_path / "workflows.sqlite"):
                pass
        assert refused.value.code == "state-in-use"
        assert refused.value.data == {"folder": str(tmp_path)}


async def test_the_event_loop_has_its_threads_back_when_the_engine_has_ended(tmp_path: Path) -> None:
    async with office(tmp_path, ManualClock(MIDNIGHT), World()) as open_:
        await open_.declare()
        await open_.run_is(ActionStatus.WAITING)
        await open_.says("alice", Acknowledged())
    assert await asyncio.to_thread(lambda: "works") == "works"

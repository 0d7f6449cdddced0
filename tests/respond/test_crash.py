"""A service that is killed in the middle of an emergency goes on where it was: one pause, one transaction, one record.

Everything is real: the chain, the store, the durable engine, the processes and the signal. The test is the responder.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from miniapp_platform.admin import Admin
from miniapp_platform.node import Node
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.script import Call, script_hash
from miniapp_platform.tocsin_toml import write_tocsin_toml
from tocsin.app import Desk, open_desk
from tocsin.connect.ports import OutboxStatus
from tocsin.domain.actions import ActionStatus, Plan
from tocsin.incident.events import PlanApproved, PlanProposed, RunFinished, RunSent
from tocsin.incident.state import IncidentState, RunState
from tocsin.settings import read_settings

CHILD = Path(__file__).with_name("crash_child.py")
RUNBOOK = Path(__file__).parents[2] / "runbooks" / "EMERGENCY_RUNBOOK.md"
BLOCK_MS = 100
WAIT_S_MAX = 40.0
LOOK_S = 0.02
EMERGENCY = "smart-contract-exploit"

CALLS = (
    "append RoleAssigned/IC",
    "append RoleAssigned/TL",
    "append RoleAssigned/CL",
    "append PlanProposed",
    "put",
    "append RunSent",
    "settle",
    "append RunFinished",
)
"""Every write that a service makes between the declaration and the verified pause."""

POINTS = [f"{moment} {call}" for call in CALLS for moment in ("before", "after")]
SAMPLE = ["before append PlanProposed", "after put", "after append RunSent"]


@dataclass(frozen=True)
class Scene:
    """A platform that is not paused, and a state folder of its own for Tocsin."""

    platform: Platform
    configuration: Path
    first_block: int

    @asynccontextmanager
    async def service(self, moment: str = "", call: str = "") -> AsyncGenerator[Process]:
        """A service in a process of its own, ready; it is dead at the end of the block."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, CHILD, self.configuration, *filter(None, (moment, call)), stdout=PIPE
        )
        try:
            while (line := await line_of(process)) != "ready":
                assert line, "the service ended before it was ready"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def desk(self) -> AsyncGenerator[Desk]:
        async with open_desk(read_settings(self.configuration)) as desk:
            yield desk

    async def operator_transactions(self, node: Node | None = None) -> list[str]:
        """The transactions that the operator's key has on the chain since the scene began."""
        operator = self.platform.accounts.operator.script_hash
        async with self.platform.client(node) as client:
            blocks = range(self.first_block, await client.height() + 1)
            return [tx for block in blocks for tx in await client.transactions_of(operator, block)]


@pytest.fixture(scope="module")
def platform() -> Generator[Platform]:
    """One platform for all crashes of a worker. (Deploying it takes no longer here than copying a prepared one.)"""

    async def start() -> Platform:
        return await Platform.start(PlatformOptions(block_ms=BLOCK_MS))

    started = asyncio.run(start())
    try:
        yield started
    finally:
        asyncio.run(started.stop())


@pytest.fixture
async def scene(platform: Platform, tmp_path: Path) -> AsyncGenerator[Scene]:
    written = write_tocsin_toml(platform, RUNBOOK)
    # Tables of the file are relative to its folder, so the file stays there; the state folder is each test's own.
    configuration = written.with_name(f"{tmp_path.name}.toml")
    state = tmp_path / "state"
    configuration.write_text(f'state = "{state}"\n{without_state(written.read_text())}', encoding="utf-8")
    async with platform.client() as client:
        if await client.read(Call(script_hash(platform.contracts.pause_registry), "isPaused")):
            await Admin(platform, client).resume_all()
        yield Scene(platform, configuration, await client.height() + 1)


def without_state(toml: str) -> str:
    return "\n".join(line for line in toml.splitlines() if not line.startswith("state ="))


async def line_of(process: Process) -> str:
    """The next line that the process prints; empty at its end."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S_MAX):
        return (await process.stdout.readline()).decode().strip()


async def lines_of(process: Process) -> list[str]:
    lines: list[str] = []
    while line := await line_of(process):
        lines.append(line)
    return lines


async def until[T](look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(LOOK_S)


async def declared(desk: Desk) -> str:
    """Two people accept the runbook, and one declares the incident."""
    text = await asyncio.to_thread(RUNBOOK.read_bytes)
    for person in ("alice", "bob"):
        await desk.library.accept(text, RUNBOOK.name, person, await desk.signer(person))
    incident, _ = await desk.incidents.declare(EMERGENCY, principal="alice", reason="funds move")
    return incident


async def planned(desk: Desk, incident: str) -> Plan:
    """The plan of the pause, as soon as it waits for an approval."""

    async def waiting() -> Plan | None:
        run = the_run(await desk.incidents.state(incident))
        return run.plan if run is not None and run.status is ActionStatus.WAITING else None

    return await until(waiting)


async def approve(desk: Desk, incident: str) -> None:
    """Alice approves the pause as soon as its plan waits for her."""
    plan = await planned(desk, incident)
    approval = desk.principals.approve("alice", plan, await desk.signer("alice"), desk.clock.now())
    await desk.incidents.record(incident, PlanApproved(plan.run, approval), "alice")


def the_run(state: IncidentState) -> RunState | None:
    """The run of the pause; there must never be a second one."""
    runs = list(state.runs())
    assert len(runs) <= 1
    return runs[0] if runs else None


async def ended(desk: Desk, incident: str) -> RunState:
    async def over() -> RunState | None:
        run = the_run(await desk.incidents.state(incident))
        return None if run is None or run.in_flight else run

    return await until(over)


async def stop(process: Process) -> list[str]:
    process.send_signal(signal.SIGTERM)
    lines = await lines_of(process)
    assert await process.wait() == 0
    assert lines[-1] == "ended"
    return lines[:-1]


async def assert_paused_once(scene: Scene, desk: Desk, incident: str) -> None:
    """The world and the record agree: one pause, verified, by one transaction, and everything written down once."""
    run = the_run(await desk.incidents.state(incident))
    assert run is not None
    assert run.status is ActionStatus.VERIFIED, run.error
    assert run.verification is not None
    assert run.verification.effect_probe
    assert await scene.operator_transactions() == [run.tx]
    entry = await desk.store.outbox.get(run.id)
    assert entry is not None
    assert (entry.tx, entry.status) == (run.tx, OutboxStatus.INCLUDED)
    assert list(await desk.store.outbox.unsettled()) == []
    assert (await desk.store.events.verify(incident)).holds
    counted = Counter(type(recorded.event) for recorded in await desk.incidents.history(incident))
    assert [counted[kind] for kind in (PlanProposed, PlanApproved, RunSent, RunFinished)] == [1, 1, 1, 1]
    assert dict((await desk.incidents.state(incident)).roles) == {"IC": "alice", "TL": "bob", "CL": "carol"}


async def killed_and_started_again(scene: Scene, point: str) -> None:
    moment, _, call = point.partition(" ")
    async with scene.desk() as desk:
        incident = await declared(desk)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(approve(desk, incident), name="alice")
            async with scene.service(moment, call) as doomed:
                assert await asyncio.wait_for(doomed.wait(), WAIT_S_MAX) == -signal.SIGKILL
            async with scene.service() as service:
                await ended(desk, incident)
                await stop(service)
        await assert_paused_once(scene, desk, incident)


@pytest.mark.parametrize("point", SAMPLE)
async def test_a_killed_service_goes_on_where_it_was(scene: Scene, point: str) -> None:
    await killed_and_started_again(scene, point)


@pytest.mark.full
@pytest.mark.parametrize("point", [point for point in POINTS if point not in SAMPLE])
async def test_a_service_killed_anywhere_goes_on_where_it_was(scene: Scene, point: str) -> None:
    await killed_and_started_again(scene, point)


@pytest.mark.full
async def test_these_are_all_the_writes_of_a_run(scene: Scene) -> None:
    async with scene.desk() as desk, scene.service() as service:
        incident = await declared(desk)
        await approve(desk, incident)
        await ended(desk, incident)
        made = await stop(service)
        assert sorted(set(made)) == sorted(CALLS)
        await assert_paused_once(scene, desk, incident)


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGTERM, id="stopped in good order", marks=pytest.mark.full),
    ],
)
async def test_a_service_that_ended_while_it_waited_for_the_block_verifies_the_pause_later(
    scene: Scene, ending: signal.Signals
) -> None:
    async def sent() -> RunState | None:
        run = the_run(await desk.incidents.state(incident))
        return run if run is not None and run.tx is not None else None

    validator, follower = scene.platform.validator, scene.platform.nodes[1]
    async with scene.desk() as desk:
        incident = await declared(desk)
        async with scene.service() as waiting:
            await planned(desk, incident)
            validator.freeze()  # no block is made from here on
            try:
                await approve(desk, incident)
                run = await until(sent)
                waiting.send_signal(ending)
                await lines_of(waiting)
                await waiting.wait()
                assert the_run(await desk.incidents.state(incident)) == run
                assert run.status is ActionStatus.RUNNING
                assert await scene.operator_transactions(follower) == []
            finally:
                validator.thaw()
        async with scene.service() as service:
            assert (await ended(desk, incident)).tx == run.tx
            await stop(service)
        await assert_paused_once(scene, desk, incident)

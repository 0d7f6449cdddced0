"""What a process that may end at any moment works with: a log and a world that end it, and a workflow that forgets.

The stateful test of the runner counts with these what a process leaves behind, and judges it.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fakes.event_log import MemoryEventLog
from respond.house import House
from respond.world import World
from tocsin.actions.protocol import Receipt
from tocsin.incident.commands import AssignRoles, ClearDeadline, Command, Execute, Preflight, Reconcile, SetDeadline
from tocsin.incident.decide import decide, outstanding
from tocsin.incident.events import Recorded
from tocsin.incident.state import IncidentState
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
    """An event log before and after whose every append the process may end. Keeps a history that needs no waiting."""

    def __init__(self, inner: MemoryEventLog, doom: Doom) -> None:
        self._inner, self._doom = inner, doom
        self.history: tuple[Recorded, ...] = ()

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        self._doom.strikes()
        recorded = await self._inner.append(incident, events, expected_seq=expected_seq)
        self.history = tuple(await self._inner.read(incident, limit=10_000))
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
class WatchedWorld(World):
    """Judges every change in the moment it is made. Before and after it the process may end."""

    doom: Doom = field(default_factory=Doom)
    may: Callable[[str], bool] = lambda key: True
    effects: list[str] = field(default_factory=list[str])
    forbidden: list[str] = field(default_factory=list[str])

    def change(self, key: str) -> Receipt:
        self.doom.strikes()
        if key not in self.changed:
            self.effects.append(key)
            if not self.may(key):
                self.forbidden.append(key)
        receipt = super().change(key)
        self.doom.strikes()
        return receipt


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
        workflow = cls(house, state, history[-1].seq)
        workflow.take(outstanding(state))
        return workflow

    def take(self, commands: Sequence[Command]) -> None:
        # The machine reads the deadlines from the state.
        self.commands.extend(each for each in commands if not isinstance(each, SetDeadline | ClearDeadline))

    async def catch_up(self) -> None:
        for recorded in await self.house.log.read(INCIDENT, after=self.seen, limit=1_000):
            self.state, commands = decide(self.state, recorded)
            self.take(commands)
            self.seen = recorded.seq

    async def go_on(self, commands_max: int) -> None:
        """Carries out what is asked for, and what that asks for, up to a number of commands."""
        for _ in range(commands_max):
            await self.catch_up()
            if not self.commands:
                return
            command = self.commands.popleft()
            await self.carry_out(command)
            self.done.append(command)

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
            case AssignRoles(roles=roles):
                await runner.assign_roles(INCIDENT, roles)
            case SetDeadline() | ClearDeadline():
                raise AssertionError("not taken")

    async def _guarded(self, run: str, work: Awaitable[None], attempt: str) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - as the conductor does
            await self.house.runner.crashed(INCIDENT, run, error, attempt)

"""A house without walls for the tests of this room: everything in memory, people with keys, and a clock that is moved.

Nothing carries commands out by itself: a test calls the runner where the conductor would.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from fakes.event_log import MemoryEventLog
from fakes.repositories import MemoryLeases, MemoryRunbooks
from respond.world import Pause, World, catalogue
from tocsin.domain.actions import ActionCall, Autonomy
from tocsin.domain.clock import ManualClock
from tocsin.domain.principals import Approval, Principal, PrincipalKind, approval_message
from tocsin.incident.events import Event, PlanApproved, Recorded
from tocsin.incident.state import IncidentState, RunState
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.incidents import Incidents
from tocsin.respond.library import Library
from tocsin.respond.ports import EventLog, Leases, NewEvent
from tocsin.respond.runner import Rules, Runner
from tocsin.runbook.compile import compile_runbook
from tocsin.runbook.model import Choice, Command, Emergency, Runbook, Step

NETWORK = 860_833_102
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = ("alice", "bob", "carol")
EMERGENCY = "exploit"
FILE = "RUNBOOK.md"
RUN = "INC-2026-0001/1.0.1"
VARIABLES = {"registry": "0x01", "wallet": "wallet.json", "rpc": "http://localhost", "app_id": "app-1"}

TEXT = """\
# Small Runbook

## Severity Levels

| Level | Name     | Response Time | Examples   |
| ----- | -------- | ------------- | ---------- |
| P0    | Critical | 15 min        | funds lost |

### Incident Command System

**Roles:**

- **Incident Commander (IC)**: Overall incident management
- **Technical Lead (TL)**: Technical investigation and resolution

## Emergencies

### 1. Exploit (P0)

**Immediate Actions:**

1. **Pause** (5 minutes)

    ```bash
    # Everything
    neo-go contract invokefunction -w <wallet> -r <rpc> <registry> pauseAll <reason>

    # Or one app
    neo-go contract invokefunction -w <wallet> -r <rpc> <registry> setPaused true <app_id>
    ```

2. **Look** (15 minutes)

    ```bash
    neo-go contract testinvokefunction -r <rpc> <registry> isPaused
    ```

    - Review recent transactions
"""
PAUSE_LINE = 1 + TEXT[: TEXT.index("neo-go")].count("\n")
"""Where the first alternative of the pause stands."""


def public_key(person: str) -> str:
    return f"key of {person}"


def signs(person: str) -> SignMessage:
    """A signature that only this person can make, as far as these tests go."""
    return lambda message: hashlib.sha256(public_key(person).encode() + message).hexdigest()


def is_signature(key: str, message: bytes, signature: str) -> bool:
    return signature == hashlib.sha256(key.encode() + message).hexdigest()


def principals(*people: str) -> Principals:
    enrolled = [Principal(name, PrincipalKind.PERSON, name.title(), public_key(name)) for name in people or PEOPLE]
    return Principals(enrolled, is_signature)


def on_its_own(runbook: Runbook) -> Runbook:
    """The runbook as if its author had bound the actions, instead of leaving them to be inferred from a fence."""

    def bound(command: Command) -> Command:
        return command if command.call is None else replace(command, call=replace(command.call, inferred=False))

    def step(given: Step) -> Step:
        choices = tuple(Choice(tuple(bound(each) for each in choice.alternatives)) for choice in given.choices)
        return replace(given, choices=choices)

    def emergency(given: Emergency) -> Emergency:
        return replace(given, steps=tuple(step(each) for each in given.steps))

    return replace(runbook, emergencies=tuple(emergency(each) for each in runbook.emergencies))


@dataclass
class House:
    """What stands in it. `people` approve and say things; the test moves the clock."""

    world: World
    clock: ManualClock
    log: EventLog
    index: MemoryEventLog
    leases: Leases
    runbooks: MemoryRunbooks
    library: Library
    incidents: Incidents
    runner: Runner
    appended: list[int] = field(default_factory=list[int])

    async def declare(self) -> IncidentState:
        incident, _ = await self.incidents.declare(EMERGENCY, principal="alice", reason="funds move")
        return await self.state(incident)

    async def state(self, incident: str = "INC-2026-0001") -> IncidentState:
        return await self.incidents.state(incident)

    async def run(self, run: str = RUN) -> RunState:
        found = (await self.state(run.partition("/")[0])).run(run)
        assert found is not None
        return found

    async def events(self, incident: str = "INC-2026-0001") -> Sequence[Event]:
        return [recorded.event for recorded in await self.incidents.history(incident)]

    async def says(self, person: str, event: Event, incident: str = "INC-2026-0001") -> Recorded:
        return await self.incidents.record(incident, event, person)

    async def approval(self, person: str, run: str = RUN) -> PlanApproved:
        plan = (await self.run(run)).plan
        assert plan is not None
        return PlanApproved(run, self.runner.principals.approve(person, plan, signs(person), self.clock.now()))

    async def approves(self, person: str, run: str = RUN) -> None:
        await self.says(person, await self.approval(person, run), run.partition("/")[0])

    async def smuggles(self, event: Event, principal: str, incident: str = "INC-2026-0001") -> None:
        """Somebody writes an event into the database, past all that guards it."""
        await self.log.append(
            incident, [NewEvent(self.clock.now(), principal, f"smuggled {event}", event)], expected_seq=None
        )

    async def forged(self, person: str, run: str = RUN) -> PlanApproved:
        """An approval by somebody who has not given it."""
        plan = (await self.run(run)).plan
        assert plan is not None
        expires = self.clock.now() + timedelta(minutes=10)
        signature = signs("mallory")(approval_message(plan.hash, expires))
        return PlanApproved(run, Approval(person, plan.hash, signature, self.clock.now(), expires))

    async def planned(self) -> RunState:
        """An incident is declared, and the plan of its first run stands."""
        await self.declare()
        await self.runner.preflight("INC-2026-0001", RUN)
        return await self.run()

    async def command(self) -> ActionCall:
        """The call of the first run's first alternative, as the runbook has it."""
        _, emergency = await self.incidents.emergency_of(await self.state())
        call = emergency.steps[0].choices[0].alternatives[0].call
        assert call is not None
        return call

    async def approved(self) -> RunState:
        """The same, and Alice has approved it."""
        await self.planned()
        await self.approves("alice")
        return await self.run()


async def open_house(
    *,
    pause: type[Pause] = Pause,
    mode: Autonomy = Autonomy.ACT,
    autonomy: Mapping[str, Autonomy] | None = None,
    variables: Mapping[str, str] = VARIABLES,
    inferred: bool = True,
    text: str = TEXT,
    log: EventLog | None = None,
    index: MemoryEventLog | None = None,
    clock: ManualClock | None = None,
    world: World | None = None,
    network: int = NETWORK,
) -> House:
    """A house whose runbook two people have accepted. `inferred` says that its actions come from a plain fence."""
    world, clock, index = world or World(), clock or ManualClock(MIDNIGHT), index or MemoryEventLog()
    runbook = compile_runbook(text.encode(), FILE)
    runbooks, people, appended = MemoryRunbooks(), principals(), list[int]()
    known = {runbook.hash: runbook if inferred else on_its_own(runbook)}
    library = Library(runbooks, people, clock, known)
    for person in ("alice", "bob"):
        await library.accept(text.encode(), FILE, person, signs(person))
    log = log or index
    incidents = Incidents(log, index, library, people, clock, mode, lambda: appended.append(1))
    leases = MemoryLeases(clock)
    rules = Rules(mode, autonomy or {}, variables, {"IC": ("alice", "bob"), "TL": ()}, network)
    runner = Runner(
        incidents,
        catalogue(world, pause),
        leases,
        people,
        clock,
        rules,
        lease_wait_max=timedelta(0),
        lease_poll=timedelta(0),
    )
    return House(world, clock, log, index, leases, runbooks, library, incidents, runner, appended)

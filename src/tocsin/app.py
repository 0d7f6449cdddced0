"""The only place (with `drill/`) where vendors are chosen and objects are wired.

Three sizes: a *desk* (store and people: what the verbs of an incident need), a *platform* (the chain and the catalogue:
what a dry run needs; wired in `platform`), and a *service* (both, with workflows and the follower: what `serve` and a
drill run).

The chain's client and the workflow engine take seconds to import, so only the sizes that need them do.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from tocsin.actions.catalogue import Catalogue
from tocsin.actions.contract import Caller, ContractInvoke, ContractRead
from tocsin.connect.neo.signing import sign_message, verify_message
from tocsin.connect.neo.wallets import open_key
from tocsin.connect.ports import Outbox
from tocsin.domain.clock import Clock, SystemClock
from tocsin.domain.detections import Detection
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.platform import key_source, open_platform, pause_action
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.incidents import Incidents
from tocsin.respond.library import Library
from tocsin.respond.ports import EventLog
from tocsin.settings import Settings
from tocsin.store.store import Store, open_store

if TYPE_CHECKING:
    from tocsin.connect.neo.chain import NeoChain
    from tocsin.detect.follower import Follower
    from tocsin.reflexes import Reflex
    from tocsin.respond.adoption import Adoption
    from tocsin.respond.conductor import Conductor

log = structlog.get_logger(__name__)

_ACCEPTANCE_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Responder:
    """A principal who acts in this process with a key at hand: in a drill, a simulated one."""

    principal: Principal
    sign: SignMessage


@dataclass(frozen=True, slots=True)
class Desk:
    """The store and the people: enough to read incidents and to append to them."""

    settings: Settings
    store: Store
    clock: Clock
    principals: Principals
    library: Library
    incidents: Incidents
    responders: Sequence[Responder]

    async def deliver(self, detection: Detection) -> None:
        """Declares or joins the detection's incident. While no runbook is accepted it waits, so that none is lost."""
        while True:
            try:
                await self.incidents.detected(detection)
            except Refused as refused:
                if refused.code != "no-runbook-accepted":
                    raise
                log.error("detection_waits", detection=detection.summary, why=refused.message, next=refused.next_step)
                await asyncio.sleep(_ACCEPTANCE_LOOK_S)
            else:
                return

    async def signer(self, principal: str) -> SignMessage:
        """Signs with the principal's key.

        Raises:
            ConfigurationInvalid: the configuration names no wallet for them on this machine.
            Refused: the wallet can't be opened.
        """
        for responder in self.responders:
            if responder.principal.id == principal:
                return responder.sign
        person = self.settings.people.get(principal)
        if person is None or person.key is None:
            raise ConfigurationInvalid(
                "no-key-of-person",
                f"the configuration names no wallet for {principal}, so nothing can be signed as them here",
                next_step=f"add people.{principal}.key with a wallet and where its password is",
            )
        key = await asyncio.to_thread(open_key, key_source(f"approvals of {principal}", person.key))
        return lambda message: sign_message(key, message)


class Nudge:
    """Tells whoever listens that the log has grown; set once the listener exists."""

    def __init__(self) -> None:
        self.listener = lambda: None

    def __call__(self) -> None:
        self.listener()


@asynccontextmanager
async def open_desk(
    settings: Settings,
    *,
    clock: Clock | None = None,
    simulated: Sequence[Responder] = (),
    event_log: EventLog | None = None,
) -> AsyncGenerator[Desk]:
    """Opens the store (made and migrated where needed). `event_log` replaces the store's, for tests of crashes."""
    clock = clock or SystemClock()
    people = [
        Principal(name, PrincipalKind.PERSON, person.name, person.public_key)
        for name, person in settings.people.items()
    ]
    principals = Principals([*people, *(r.principal for r in simulated)], verify_message)
    async with open_store(settings.state, clock) as store:
        library = Library(store.runbooks, principals, clock)
        incidents = Incidents(
            event_log or store.events, store.incidents, library, principals, clock, settings.mode, Nudge()
        )
        yield Desk(settings, store, clock, principals, library, incidents, simulated)


def build_catalogue(settings: Settings, chain: "NeoChain") -> Catalogue:
    """The actions that this installation can carry out."""
    invoke = ContractInvoke(Caller(chain.reader, chain.sender, "invoke"))
    pause = pause_action(settings, chain.reader, chain.sender)
    return Catalogue([ContractRead(chain.reader), invoke, pause])


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that responds: follower, workflows, deadlines, the reflex, and what break glass did meanwhile."""

    desk: Desk
    chain: "NeoChain"
    conductor: "Conductor"
    follower: "Follower"
    adoption: "Adoption"
    reflex: "Reflex"

    async def run(self) -> None:
        """Follows the chain and carries incidents on, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.conductor.watch(), name="watch the event log")
            tasks.create_task(self.conductor.keep_deadlines(), name="keep deadlines")
            tasks.create_task(self.chain.watch(), name="watch the endpoints")
            tasks.create_task(self.follower.follow(), name="follow the chain")
            tasks.create_task(self.adoption.watch(), name="adopt what break glass did")
            tasks.create_task(self.reflex.run(), name="watch the pool")


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    clock: Clock | None = None,
    simulated: Sequence[Responder] = (),
    roles: Mapping[str, tuple[str, ...]] | None = None,
    event_log: EventLog | None = None,
    outbox: Outbox | None = None,
) -> AsyncGenerator[Service]:
    """Wires the whole of Tocsin. `simulated` and `roles` are for drills, `event_log` and `outbox` for tests of crashes.

    Only one service may run in a process at a time (DBOS), and only one on a state folder.

    Raises:
        ConfigurationInvalid: a rule can't be used, or the state folder holds no store of this version.
        Refused: another service runs on the state folder.
        Unavailable: the store can't be opened now.
    """
    from dbos import DBOS

    from tocsin.connect.outbox_file import standing_outboxes
    from tocsin.detect.follower import Follower
    from tocsin.detect.outflow import OutflowWatch
    from tocsin.reflexes import Reflex
    from tocsin.respond.adoption import Adoption
    from tocsin.respond.conductor import Conductor
    from tocsin.respond.dbos_engine import open_engine
    from tocsin.respond.runner import Rules, Runner
    from tocsin.respond.shots import Shots
    from tocsin.rulebook import outflow_rules

    rules = outflow_rules(settings)
    async with (
        open_desk(settings, clock=clock, simulated=simulated, event_log=event_log) as desk,
        open_platform(settings, outbox or desk.store.outbox, clock) as chain,
        open_engine(settings.state / "workflows.sqlite"),
    ):
        runner = Runner(
            desk.incidents,
            build_catalogue(settings, chain),
            desk.store.leases,
            desk.principals,
            desk.clock,
            Rules(
                mode=settings.mode,
                autonomy=settings.autonomy,
                variables=settings.variables,
                roles=roles or settings.roles,
                network=settings.network.magic,
            ),
        )
        conductor = Conductor(runner, desk.incidents.log, desk.store.deadlines)
        appended = desk.incidents.appended
        assert isinstance(appended, Nudge)
        appended.listener = conductor.nudge
        # On this event loop and in its thread: what the engine takes over runs where it was launched, as clients do.
        DBOS.launch()
        watch = OutflowWatch(rules, chain.reader)
        follower = Follower(chain.feed, desk.store.cursor, watch, desk.deliver, history=chain.history)
        reflex = Reflex(
            settings=settings,
            chain=chain,
            incidents=desk.incidents,
            principals=desk.principals,
            armings=desk.store.armings,
            outbox=outbox or desk.store.outbox,
            shots=Shots(desk.incidents, runner.catalogue, settings.variables, settings.network.magic),
            watch=watch,
            rules=rules,
            pause=pause_action(settings, chain.reader, chain.sender),
            clock=desk.clock,
        )
        adoption = Adoption(
            desk.incidents,
            settings.break_glass.emergency,
            lambda: standing_outboxes(settings.state),
            chain.sender_over,
        )
        yield Service(desk, chain, conductor, follower, adoption, reflex)

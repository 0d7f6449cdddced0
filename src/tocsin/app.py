"""The only place (with `drill/`) where vendors are chosen and objects are wired.

Three sizes: a *desk* (store and people: what the verbs of an incident need), a *platform* (the chain and the catalogue:
what a dry run needs), and a *service* (both, with workflows and the follower: what `serve` and a drill run).
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from tocsin.actions.catalogue import Catalogue
from tocsin.actions.contract import Caller, ContractInvoke, ContractRead
from tocsin.actions.pause import CallTemplate, ContractPause, EffectProbe, PauseBinding
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import Endpoint, FeeLimits, KeySource, NetworkConfig
from tocsin.connect.neo.signing import sign_message, verify_message
from tocsin.connect.neo.wallets import open_key
from tocsin.connect.ports import Outbox, Signer
from tocsin.detect.conditions import Condition
from tocsin.detect.follower import Follower
from tocsin.detect.outflow import VARIABLES, OutflowRule, OutflowWatch
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock, SystemClock
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.hashes import ScriptHash, account_of, address_of, script_hash
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.conductor import Conductor
from tocsin.respond.incidents import Incidents
from tocsin.respond.library import Library
from tocsin.respond.ports import EventLog
from tocsin.respond.runner import Rules, Runner
from tocsin.settings import CallSettings, RuleSettings, Settings, WalletSettings
from tocsin.store.store import Store, open_store

NATIVE_CONTRACTS: Mapping[str, ScriptHash] = {
    "gas": ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf"),
    "neo": ScriptHash("0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"),
}


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
        key = await asyncio.to_thread(open_key, _key_source(f"approvals of {principal}", person.key))
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


@asynccontextmanager
async def open_platform(settings: Settings, outbox: Outbox, clock: Clock | None = None) -> AsyncGenerator[NeoChain]:
    """Connects to the chain of the configuration. Nothing is asked of it yet."""
    async with NeoChain(network_config(settings), outbox, clock) as chain:
        yield chain


def network_config(settings: Settings) -> NetworkConfig:
    """The network as `connect/neo` takes it."""
    network = settings.network
    return NetworkConfig(
        magic=network.magic,
        quorum=network.quorum,
        endpoints=tuple(Endpoint(e.name, e.provider, e.url, e.ws) for e in network.endpoints),
        keys=tuple(_key_source(purpose, key) for purpose, key in settings.keys.items()),
        fees=replace(
            FeeLimits(),
            system_max=Gas.parse(network.system_fee_max),
            network_max=Gas.parse(network.network_fee_max),
        ),
    )


def build_catalogue(settings: Settings, chain: NeoChain) -> Catalogue:
    """The actions that this installation can carry out."""
    bindings = tuple(
        PauseBinding(p.name, _template(settings, p.call), _template(settings, p.paused), p.stops)
        for p in settings.pause
    )
    probes = tuple(
        EffectProbe(
            p.name,
            _template(settings, p.call),
            Signer(
                account_of(p.account),
                "custom_contracts",
                tuple(_contract(settings, name) for name in p.witness),
            ),
            p.reason,
            p.stopped_by,
        )
        for p in settings.probes
    )
    pause = ContractPause(Caller(chain.reader, chain.sender, "pause"), bindings, probes)
    invoke = ContractInvoke(Caller(chain.reader, chain.sender, "invoke"))
    return Catalogue([ContractRead(chain.reader), invoke, pause])


def outflow_rules(settings: Settings) -> Sequence[OutflowRule]:
    """The rules of the configuration, compiled.

    Raises:
        ConfigurationInvalid: a condition can't be used.
    """
    return [_outflow_rule(settings, rule) for rule in settings.rules]


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that responds: follower, workflows, deadlines."""

    desk: Desk
    chain: NeoChain
    conductor: Conductor
    follower: Follower

    async def run(self) -> None:
        """Follows the chain and carries incidents on, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.conductor.watch(), name="watch the event log")
            tasks.create_task(self.conductor.keep_deadlines(), name="keep deadlines")
            tasks.create_task(self.follower.follow(), name="follow the chain")


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
    """
    from dbos import DBOS

    from tocsin.respond.dbos_engine import start_engine

    rules = outflow_rules(settings)
    async with (
        open_desk(settings, clock=clock, simulated=simulated, event_log=event_log) as desk,
        open_platform(settings, outbox or desk.store.outbox, clock) as chain,
    ):
        engine = start_engine(settings.state / "workflows.sqlite", f"{socket.gethostname()}-{os.getpid()}")
        try:
            runner = Runner(
                desk.incidents,
                build_catalogue(settings, chain),
                desk.store.leases,
                desk.principals,
                desk.clock,
                Rules(settings.mode, settings.autonomy, settings.variables, roles or settings.roles),
            )
            conductor = Conductor(runner, desk.incidents.log, desk.store.deadlines)
            appended = desk.incidents.appended
            assert isinstance(appended, Nudge)
            appended.listener = conductor.nudge
            await asyncio.to_thread(DBOS.launch)
            follower = Follower(
                chain.feed, desk.store.cursor, OutflowWatch(rules, chain.reader), desk.incidents.detected
            )
            yield Service(desk, chain, conductor, follower)
        finally:
            await asyncio.to_thread(engine.destroy, destroy_registry=False)


def _contract(settings: Settings, name: str) -> ScriptHash:
    if name in NATIVE_CONTRACTS:
        return NATIVE_CONTRACTS[name]
    if name in settings.contracts:
        return script_hash(settings.contracts[name].hash)
    return script_hash(name)


def _template(settings: Settings, call: CallSettings) -> CallTemplate:
    return CallTemplate(_contract(settings, call.contract), call.method, call.args)


def _key_source(purpose: str, wallet: WalletSettings) -> KeySource:
    return KeySource(
        purpose,
        wallet.wallet,
        password_file=wallet.password_file,
        password_env=wallet.password_env,
        address=address_of(account_of(wallet.address)) if wallet.address else None,
    )


def _outflow_rule(settings: Settings, rule: RuleSettings) -> OutflowRule:
    return OutflowRule(
        name=rule.name,
        emergency=rule.emergency,
        symptom=rule.symptom,
        contracts={_contract(settings, name): name for name in rule.contracts},
        window=timedelta(seconds=rule.window),
        known_recipients=frozenset(account_of(account) for account in rule.known_recipients),
        condition=Condition(rule.condition, VARIABLES, f"rule {rule.name}"),
    )

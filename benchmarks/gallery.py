"""A shooting gallery for benchmarks: a real platform, a real service, and a reflex that answers every theft.

Everything is as `tocsin serve` wires it, except that a stop forgets its earlier shots: in the field the second theft
finds the app paused already, or a pause on its way, and is not answered at all.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from miniapp_platform.chain import Authority, Chain, Fees
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.platform import Platform
from miniapp_platform.script import FRACTIONS_PER_GAS, Call, script_hash, transfer_gas
from miniapp_platform.tocsin_toml import write_tocsin_toml
from tocsin.actions.catalogue import Bound
from tocsin.app import Service, open_service
from tocsin.connect.reflex_ports import FeeBid, MempoolTransaction
from tocsin.consent import REASON
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.detections import Detection
from tocsin.drill.responders import ROLES, enlist
from tocsin.platform import open_platform, pause_ways
from tocsin.reflex.sentinel import Sentinel, Shot
from tocsin.reflex.stops import Readiness, Stop, Stops
from tocsin.respond.shots import FiredAction
from tocsin.settings import Settings, read_settings

RUNBOOK = Path(__file__).parents[1] / "runbooks" / "EMERGENCY_RUNBOOK.md"
FUNDS_GAS = 3_000
READY_S_MAX = 30.0
SYSTEM_FEE_MARGIN = 10_000_000
"""In units of 10⁻⁸ GAS: claims differ a little in cost, and only the first is rehearsed by the thief."""
_LOOK_S = 0.005


class EveryTheft(Stops):
    """Stops without a memory: every theft is answered as if it was the first."""

    def covers(self, stop: Stop, bid: FeeBid) -> bool:
        return False

    def holds_back(self, stop: Stop) -> str | None:
        return None


@dataclass
class Gallery:
    """A service whose reflex answers every theft, and hands each shot out once its incident has it."""

    settings: Settings
    service: Service
    recorded: "asyncio.Queue[Shot]" = field(default_factory=asyncio.Queue)
    turns: int = 0
    """Each turn of watching has an incident of its own: real ones are not about hundreds of shots."""

    async def fired(self, shot: Shot) -> None:
        stop = shot.stop
        action = FiredAction(
            action=self.service.reflex.pause.name,
            summary=f"pause {stop.pause.stops}",
            inputs=stop.inputs,
            before=stop.before,
            resources=(f"contract:{stop.pause.call.contract}",),
            outbox_key=shot.fired.key,
            tx=shot.fired.tx,
            armed_by=("alice",),
        )
        detection = replace(shot.detection, key=f"{shot.detection.key}:{self.turns}")
        await self.service.reflex.shots.take(detection, action)
        self.recorded.put_nowait(shot)

    async def held_back(self, transaction: MempoolTransaction, detection: Detection, why: str) -> None:
        raise AssertionError(f"a theft was not answered: {why}")

    async def not_judged(self, transaction: MempoolTransaction, why: str) -> None:
        raise AssertionError(f"a theft was not judged: {why}")

    async def has_seen(self, height: int) -> None:
        """Waits until the rules have seen this block."""
        await _until(lambda: self.service.follower.handled >= height)

    @asynccontextmanager
    async def watching(self, *, tend: bool = False) -> AsyncGenerator[None]:
        """The sentinel watches the pools over connections of its own. `tend`: stock is taken after every block."""
        self.turns += 1
        reflex, outbox = self.service.reflex, self.service.desk.store.outbox
        async with open_platform(self.settings, outbox, self.service.desk.clock) as chain:
            stops = EveryTheft([await self._stop()], chain.armed, chain.reader, self.service.desk.clock, 100)
            sentinel = Sentinel(
                chain.mempool, chain.rehearser, reflex.watch, stops, self, lambda: None, known=frozenset()
            )
            await self._tend(stops)
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(sentinel.watch())]
                if tend:
                    background.append(tasks.create_task(self._keep_tending(stops)))
                await _until(lambda: all(source.state == "listening" for source in chain.mempool.sources()))
                assert stops.status()[0].readiness is not Readiness.PREPARING
                yield
                for task in background:
                    task.cancel()

    async def _tend(self, stops: Stops) -> None:
        await self.service.reflex.watch.take_stock()
        await stops.tend(self.service.follower.handled)

    async def _keep_tending(self, stops: Stops) -> None:
        seen = -1
        while True:
            if self.service.follower.handled > seen:
                seen = self.service.follower.handled
                await self._tend(stops)
            await asyncio.sleep(_LOOK_S)

    async def _stop(self) -> Stop:
        pause = self.service.reflex.pause
        given = await pause.bind(pause_ways(self.settings).arguments(PauseTarget(VULNERABLE_APP_ID), REASON))
        victims = [hash_ for rule in self.service.reflex.rules for hash_, name in rule.contracts.items()]
        before = (await pause.preflight(given)).before
        return Stop(given.stops, frozenset(victims), given, Bound(pause, given).inputs(), before)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(READY_S_MAX):
        while True:
            if condition():
                return
            await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def open_gallery(
    platform: Platform, *, leave_out: str | None = None, workflows: bool = True
) -> AsyncGenerator[Gallery]:
    """The service on this platform, its endpoint `leave_out` left out, with a runbook that two people accepted.

    Without `workflows` shots are recorded in incidents, but nobody carries these on.
    """
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)  # that a shot found no run is what is meant here
    structlog.configure(wrapper_class=quiet)
    configuration = write_tocsin_toml(platform, RUNBOOK)
    if leave_out is not None:
        text = configuration.read_text(encoding="utf-8")
        left = re.sub(rf'\[\[network\.endpoints\]\]\nname = "{leave_out}"\n(?:\w+ = .*\n)*', "", text)
        assert left != text
        configuration.write_text(left, encoding="utf-8")
    settings = read_settings(configuration)
    simulated = enlist(platform, settings)
    async with open_service(settings, simulated=simulated, roles=ROLES) as service, asyncio.TaskGroup() as tasks:
        for responder in simulated[:2]:
            text = await asyncio.to_thread(RUNBOOK.read_bytes)
            await service.desk.library.accept(text, str(RUNBOOK), responder.principal.id, responder.sign)
        background = [tasks.create_task(service.chain.watch()), tasks.create_task(service.follower.follow())]
        if workflows:
            background.append(tasks.create_task(service.conductor.watch()))
            background.append(tasks.create_task(service.conductor.keep_deadlines()))
        yield Gallery(settings, service)
        for task in background:
            task.cancel()


async def fund(platform: Platform, client: Chain) -> None:
    """Gives thief and pause key enough for the fees of all rounds."""
    payer = platform.accounts.refill
    calls = [
        transfer_gas(payer.script_hash, account.script_hash, FUNDS_GAS * FRACTIONS_PER_GAS)
        for account in (platform.accounts.attacker, platform.accounts.operator)
    ]
    await client.execute(calls, [Authority(payer)])


def steal_calls(platform: Platform) -> tuple[Sequence[Call], Sequence[Authority]]:
    """One claim of the thief, and whose witness it takes."""
    thief, victim = platform.accounts.attacker, script_hash(platform.contracts.vulnerable_app)
    return [Call(victim, "claimPrize", (thief.script_hash,))], [Authority(thief, (victim,))]


async def theft_fees(platform: Platform, client: Chain, *, added: int = 0) -> Fees:
    """What a theft pays; `added` to its network fee, in units of 10⁻⁸ GAS."""
    rehearsed = await client.fees(*steal_calls(platform))
    return Fees(rehearsed.system + SYSTEM_FEE_MARGIN, rehearsed.network + added)

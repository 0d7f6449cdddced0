"""One play of the exploit on the chain with Tocsin: users, attacker, responders, and how the world looks afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from miniapp_platform.admin import Admin
from miniapp_platform.attack import Attack
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.deploy import MINI_APP_ID, VULNERABLE_APP_ID
from miniapp_platform.errors import PlatformError
from miniapp_platform.platform import Platform
from miniapp_platform.script import Call, script_hash
from miniapp_platform.traffic import HonestTraffic, place_order, reason_of
from tocsin.app import Service
from tocsin.domain.actions import ActionStatus
from tocsin.domain.amounts import Gas
from tocsin.drill.report import Check, IncidentLine, Times
from tocsin.drill.responders import SIMULATED, Skip, Team
from tocsin.drill.story import Narrator, Voice
from tocsin.incident.events import DetectionJoined
from tocsin.incident.state import IncidentState, StepStatus
from tocsin.incident.waiting import Waiting
from tocsin.respond.news import News
from tocsin.runbook.model import Emergency

EMERGENCY = "smart-contract-exploit"
RESPONSE_BLOCKS_MAX = 60
"""How many blocks' time the response may take before the drill gives up on it."""
RESPONSE_S_MIN = 20.0
ORDERS_BEFORE = 2
"""Honest orders that go through before the attack, to show that the platform works."""
_LOOK_S = 0.1
_PAUSED = "paused"
_FIRST_DETECTION = 2
"""The event after the declaration is the detection that caused it."""


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What is known when the scene is over. `unfinished` is what Tocsin left undone."""

    emergency: Emergency
    state: IncidentState | None
    times: Times
    lost: Gas
    incidents: tuple[IncidentLine, ...]
    checks: tuple[Check, ...]
    unfinished: tuple[str, ...]
    same_block: bool
    """Whether the pause stood before the attack's first transaction in its own block, and that transaction FAULTed."""


class Scene:
    """The exploit on a running platform that a running service watches. Play it once."""

    def __init__(
        self, platform: Platform, service: Service, narrator: Narrator, client: Chain, *, armed: bool = False
    ) -> None:
        self._platform, self._service, self._narrator, self._client = platform, service, narrator, client
        self._armed = armed
        self._attack = Attack(platform, client)
        self._admin = Admin(platform, client)
        self._victim = script_hash(platform.contracts.vulnerable_app)
        self._resumed = False
        self._orders_at_resume = 0
        self._traffic: HonestTraffic | None = None
        self._findings: Mapping[str, Callable[[IncidentState], Awaitable[str]]] = {
            "Review recent transactions": self._review_transactions,
            "Check contract event logs": self._check_event_logs,
            "Analyze attacker behavior": self._analyse_attacker,
            "Disable vulnerable functions": self._close_the_app,
            "Freeze affected accounts": self._freeze_accounts,
            "Alert exchange if applicable": self._alert_exchange,
            "Deploy patched contract": self._resume,
        }

    async def play(self) -> SceneResult:
        """Lets users order, attacks, waits for the response, and looks at the world afterwards."""
        first_block = await self._client.height()
        team = Team(self._service.desk, self._find)
        async with (
            _running(self._service.run(), "Tocsin"),
            _running(team.respond(), "responders"),
            HonestTraffic(self._platform, self._client) as traffic,
            _running(self._narrate(), "narrator"),
            pot_shown(self._platform, self._narrator, protected=True),
            asyncio.TaskGroup() as attackers,
        ):
            self._traffic = traffic
            await self._until(lambda: traffic.report.placed >= ORDERS_BEFORE)
            self._narrator.say(Voice.USERS, f"{traffic.report.placed} honest orders went through")
            if self._armed and not await self._until(lambda: self._service.reflex.ready):
                self._narrator.say(Voice.STAGE, "the reflex did not become ready")
            attacking = attackers.create_task(self._attack.run(), name="attack")
            broadcast = await self._attack.first_broadcast()
            self._narrator.say(Voice.ATTACKER, f"the attack begins: transaction {broadcast.transaction}")
            await self._response(attacking)
            await attacking
            if self._resumed and await self._until(lambda: traffic.report.placed > self._orders_at_resume):
                self._narrator.say(Voice.USERS, "honest orders go through again")
            state = await self._state()
            checks = await self._checks(state, first_block)
        emergency = (await self._service.desk.library.accepted()).emergency(EMERGENCY)
        assert emergency is not None, "the accepted runbook has this emergency"
        return SceneResult(
            emergency=emergency,
            state=state,
            times=Times.of(state, await self._detected_at(state), broadcast.at),
            lost=Gas(await self._attack.lost()),
            incidents=await self._incident_lines(),
            checks=checks,
            unfinished=await self._unfinished(),
            same_block=await self._pause_came_first(state, broadcast.transaction),
        )

    async def _response(self, attacking: asyncio.Task[object]) -> None:
        """Waits until the incident is closed, or the attack is over and the response is stuck, or the bound."""

        async def over() -> bool:
            state = await self._state()
            if state is not None and not state.is_open:
                return True
            stuck = state is not None and any(step.status is StepStatus.FAILED for step in state.steps)
            return attacking.done() and stuck

        end = asyncio.get_running_loop().time() + self._patience_s()
        while not await over():
            if asyncio.get_running_loop().time() >= end:
                self._narrator.say(Voice.STAGE, "the response did not come to its end in time")
                return
            await asyncio.sleep(_LOOK_S)

    async def _until(self, condition: Callable[[], bool]) -> bool:
        end = asyncio.get_running_loop().time() + self._patience_s()
        while not condition():
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    def _patience_s(self) -> float:
        return max(RESPONSE_S_MIN, RESPONSE_BLOCKS_MAX * self._platform.block_ms / 1000)

    async def _state(self) -> IncidentState | None:
        incidents = self._service.desk.incidents
        states = [await incidents.state(s.id) for s in await incidents.summaries()]
        return next((s for s in states if s.emergency == EMERGENCY), None)

    async def _detected_at(self, state: IncidentState | None) -> datetime | None:
        """When a rule's detection opened the incident, or joined it."""
        return state.declared_at if state is not None and state.detections else None

    async def _incident_lines(self) -> tuple[IncidentLine, ...]:
        incidents = self._service.desk.incidents
        states = [await incidents.state(s.id) for s in await incidents.summaries()]
        return tuple(IncidentLine(s.id, s.emergency, s.severity, s.status) for s in states)

    async def _unfinished(self) -> tuple[str, ...]:
        entries = await self._service.desk.store.outbox.unsettled()
        transactions = [f"transaction {entry.tx} of {entry.key} has no known outcome" for entry in entries]
        incidents = await self._incident_lines()
        closed = {"resolved", "reviewed", "false_alarm"}
        return (*transactions, *(f"incident {i.id} is still {i.state}" for i in incidents if i.state not in closed))

    async def _narrate(self) -> None:
        """Says what is new: on the timelines of the incidents, with the attacker, and with the users."""
        news = News(self._service.desk.incidents)
        claims = 0
        refused = 0
        while True:
            await self._narrate_incidents(news)
            for number, claim in enumerate(self._attack.claims[claims:], start=claims + 1):
                came = f"took {Gas(claim.taken)} GAS" if claim.taken else f"FAULTed: {reason_of(claim.fault)}"
                self._narrator.say(Voice.ATTACKER, f"transaction {number} {came}")
                claims = number
            failed = sum(self._traffic.report.failed.values()) if self._traffic else 0
            if failed > refused:
                self._narrator.say(
                    Voice.USERS, f"{failed - refused} honest order(s) refused while everything is paused"
                )
                refused = failed
            await asyncio.sleep(_LOOK_S)

    async def _narrate_incidents(self, news: News) -> None:
        for new in await news.latest():
            if isinstance(new.recorded.event, DetectionJoined) and new.recorded.seq == _FIRST_DETECTION:
                continue  # the declaration has just said the same
            voice = Voice.PEOPLE if new.entry.author in SIMULATED else Voice.TOCSIN
            self._narrator.say(voice, new.entry.sentence)

    async def _find(self, state: IncidentState, waiting: Waiting) -> str:
        assert waiting.step is not None, "asked for an item of a step"
        assert waiting.item is not None, "asked for an item of a step"
        step = state.step(waiting.step)
        assert step is not None, "the waiting item's step exists"
        find = self._findings.get(step.items[waiting.item].text)
        if find is None:
            raise Skip("the drill does not play this step")
        return await find(state)

    async def _review_transactions(self, _: IncidentState) -> str:
        taken = [claim for claim in self._attack.claims if claim.taken > 0]
        total = Gas(sum(claim.taken for claim in taken))
        return f"{len(taken)} transaction(s) of {self._platform.accounts.attacker.address} took {total} GAS"

    async def _check_event_logs(self, state: IncidentState) -> str:
        heights = sorted({d.height for d in state.detections if d.height is not None})
        return f"{state.detections_count} detection(s) of rule {state.detections[0].rule} in block(s) {heights}"

    async def _analyse_attacker(self, _: IncidentState) -> str:
        faults = sorted({reason_of(claim.fault) for claim in self._attack.claims if claim.state == "FAULT"})
        since = f"; since the pause it is refused: {', '.join(faults)}" if faults else ""
        return f"one account claims the prize of {VULNERABLE_APP_ID} once a block{since}"

    async def _close_the_app(self, _: IncidentState) -> str:
        await self._admin.set_app_paused(VULNERABLE_APP_ID, paused=True)
        return f"the admin's multi-signature (2 of 3) closed the app {VULNERABLE_APP_ID} by its own switch"

    async def _freeze_accounts(self, _: IncidentState) -> str:
        held = Gas(await self._client.gas_of(self._platform.accounts.attacker.script_hash))
        return f"the thief's account holds {held} GAS; this platform has no freeze, only the Neo Council could block it"

    async def _alert_exchange(self, _: IncidentState) -> str:
        return "not applicable: a private chain has no exchange"

    async def _resume(self, _: IncidentState) -> str:
        await self._admin.resume_all()
        assert self._traffic is not None, "users are ordering"
        self._orders_at_resume, self._resumed = self._traffic.report.placed, True
        raise Skip(
            f"there is no patched contract to deploy: {VULNERABLE_APP_ID} stays closed, and the admin's "
            "multi-signature (2 of 3) resumed everything else"
        )

    async def _pause_came_first(self, state: IncidentState | None, attack: str) -> bool:
        """Whether a transaction of the incident stands before this one in its block, and this one FAULTed."""
        execution = await self._client.execution(attack)
        pauses = {run.tx for run in state.runs() if run.tx is not None} if state is not None else set[str]()
        if execution is None or execution.halted or not pauses:
            return False
        order = await self._client.block_of(attack)
        return any(tx in pauses for tx in order[: order.index(attack)])

    async def _checks(self, state: IncidentState | None, first_block: int) -> tuple[Check, ...]:
        assert self._traffic is not None, "users were ordering"
        runs = list(state.runs()) if state is not None else []
        sent = [run for run in runs if run.tx is not None]
        verified = [run for run in sent if run.status is ActionStatus.VERIFIED and run.verification is not None]
        stopped = [c for c in self._attack.claims if c.state == "FAULT" and _PAUSED in c.fault]
        refused = {why: n for why, n in self._traffic.report.failed.items() if _PAUSED in why}
        operator = self._platform.accounts.operator.script_hash
        blocks = range(first_block, await self._client.height() + 1)
        on_chain = [tx for block in blocks for tx in await self._client.transactions_of(operator, block)]
        pot = Gas(await self._client.gas_of(self._victim))
        checks = [
            Check(
                "the pause stands on a quorum and in its effect",
                bool(verified) and all(r.verification and r.verification.effect_probe for r in verified),
                "; ".join(r.verification.summary for r in verified if r.verification) or "no pause was verified",
            ),
            Check(
                "the attack was stopped by the pause",
                bool(stopped) and pot > Gas(0),
                f"{len(stopped)} of {len(self._attack.claims)} claims FAULTed because of the pause; {pot} GAS are left",
            ),
            self._users_were_safe(sum(refused.values())),
            Check(
                "every transaction was sent once",
                len(on_chain) == len(sent) and {run.tx for run in sent} == set(on_chain),
                f"{len(on_chain)} transaction(s) of the pause key on the chain, {len(sent)} in the incident",
            ),
            await self._users_can_order_again(),
            await self._app_stays_closed(),
        ]
        if state is not None:
            verdict = await self._service.desk.store.events.verify(state.id)
            checks.append(
                Check("the event log's hash chain holds", verdict.holds, verdict.problem or f"{verdict.events} events")
            )
        return tuple(checks)

    def _users_were_safe(self, refused: int) -> Check:
        assert self._traffic is not None, "users were ordering"
        placed = self._traffic.report.placed
        if self._armed:
            name = f"users of {MINI_APP_ID} noticed nothing: only the attacked app was paused"
            return Check(name, refused == 0, f"{placed} orders placed, {refused} refused because of a pause")
        name = "honest users were told to wait, not robbed"
        return Check(name, refused > 0, f"{placed} orders placed, refused while paused: {refused}")

    async def _users_can_order_again(self) -> Check:
        name = f"users of {MINI_APP_ID} can order again"
        if not self._resumed:
            return Check(name, False, "the platform was not resumed")
        try:
            await place_order(self._platform, self._client, self._platform.accounts.payers[0], memo="after the drill")
        except PlatformError as error:
            return Check(name, False, str(error))
        placed = self._traffic.report.placed - self._orders_at_resume if self._traffic else 0
        return Check(
            name, True, f"{placed} order(s) of honest users went through since the admin resumed, and one more"
        )

    async def _app_stays_closed(self) -> Check:
        attacker = self._platform.accounts.attacker
        name = f"{VULNERABLE_APP_ID} stays closed"
        call = Call(self._victim, "claimPrize", (attacker.script_hash,))
        rehearsal = await self._client.rehearse([call], [Authority(attacker, (self._victim,))])
        return Check(
            name, not rehearsal.halted and _PAUSED in rehearsal.fault, reason_of(rehearsal.fault) or "it is open"
        )


@contextlib.asynccontextmanager
async def pot_shown(platform: Platform, narrator: Narrator, *, protected: bool) -> AsyncGenerator[None]:
    """Shows what the attacked contract holds, while the context lasts."""
    victim = script_hash(platform.contracts.vulnerable_app)

    async def watch(client: Chain, full: Gas) -> None:
        while True:
            narrator.pot(protected=protected, left=Gas(await client.gas_of(victim)), full=full)
            await asyncio.sleep(platform.block_ms / 2000)

    async with platform.client() as client:
        full = Gas(await client.gas_of(victim))
        async with _running(watch(client, full), "pot"):
            yield
        narrator.pot(protected=protected, left=Gas(await client.gas_of(victim)), full=full)


@contextlib.asynccontextmanager
async def _running(work: Awaitable[None], name: str) -> AsyncGenerator[None]:
    """Runs `work` beside the context; an error in it ends the context."""

    async def run() -> None:
        await work

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(), name=name)
        yield
        task.cancel()

"""Simulated responders: they answer for people in a drill, are marked as such, and act on no other chain.

They do what people would be asked to do, through the same verbs and with signatures of their own; their keys are made
for the drill and die with it. What they tick they have looked up: `findings` gives the text.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from miniapp_platform.platform import Platform
from tocsin.app import Desk, Responder
from tocsin.connect.neo.wallets import Key
from tocsin.domain.errors import Refused
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.incident.events import Acknowledged, ItemTicked, PlanApproved, Resolved, StepSkipped
from tocsin.incident.state import IncidentState
from tocsin.incident.waiting import Waiting, WaitingKind, waiting_for
from tocsin.settings import Settings

COMMANDER = "simulated-commander"
TECHNICAL_LEAD = "simulated-technical-lead"
COMMUNICATIONS_LEAD = "simulated-communications-lead"
ROLES: Mapping[str, tuple[str, ...]] = {
    "IC": (COMMANDER,),
    "TL": (TECHNICAL_LEAD,),
    "CL": (COMMUNICATIONS_LEAD,),
}
SIMULATED = frozenset({COMMANDER, TECHNICAL_LEAD, COMMUNICATIONS_LEAD})
_LOOK_S = 0.05


def enlist(platform: Platform, settings: Settings) -> tuple[Responder, ...]:
    """Simulated responders for a platform that this drill has started.

    Raises:
        Refused: the configuration names a chain or a node that is not this platform's.
    """
    started = {node.http_url for node in platform.nodes}
    strangers = [e.url for e in settings.network.endpoints if e.url not in started]
    if settings.network.magic != platform.magic or strangers:
        raise Refused(
            "not-a-drill-chain",
            "simulated responders act only on a chain that the drill has started itself",
            next_step="drill on the reference platform; on your own platform people respond",
        )
    return tuple(_responder(name) for name in sorted(SIMULATED))


def _responder(name: str) -> Responder:
    key = Key.of_private_key(name, secrets.token_bytes(32))
    principal = Principal(name, PrincipalKind.SIMULATED, name.replace("-", " "), key.public_key.hex())
    return Responder(principal, lambda message: key.sign(message).hex())


type Findings = Callable[[IncidentState, Waiting], Awaitable[str]]
"""What a responder finds when they look after a checklist item, in a sentence; raises `Skip` when there is nothing."""


class Skip(Exception):
    """A step that the drill has a reason to skip."""


@dataclass(frozen=True, slots=True)
class Team:
    """The simulated responders at work on one desk."""

    desk: Desk
    findings: Findings

    async def respond(self) -> None:
        """Does whatever waits for people in any open incident; runs until cancelled."""
        while True:
            for summary in await self.desk.incidents.summaries():
                if summary.is_open:
                    await self._look_after(summary.id)
            await asyncio.sleep(_LOOK_S)

    async def _look_after(self, incident: str) -> None:
        state = await self.desk.incidents.state(incident)
        for waiting in waiting_for(state):
            try:
                await self._do(state, waiting)
            except Refused:
                # Somebody or something was faster, and it no longer applies; the next look shows what does.
                return

    async def _do(self, state: IncidentState, waiting: Waiting) -> None:
        incidents = self.desk.incidents
        match waiting.kind:
            case WaitingKind.ACKNOWLEDGE:
                await incidents.record(state.id, Acknowledged(), COMMANDER)
            case WaitingKind.APPROVE:
                await self._approve(state, waiting)
            case WaitingKind.TICK:
                assert waiting.step is not None, "a tick is for an item of a step"
                assert waiting.item is not None, "a tick is for an item of a step"
                try:
                    text = await self.findings(state, waiting)
                except Skip as skip:
                    await incidents.record(state.id, StepSkipped(waiting.step, str(skip)), COMMANDER)
                else:
                    await incidents.record(state.id, ItemTicked(waiting.step, waiting.item, text), TECHNICAL_LEAD)
            case WaitingKind.RESOLVE:
                await incidents.record(state.id, Resolved("the drill's procedure is through"), COMMANDER)
            case WaitingKind.ANSWER | WaitingKind.DO | WaitingKind.DECIDE | WaitingKind.RECONCILE:
                # What a drill must not paper over: it is scored as it stands.
                pass

    async def _approve(self, state: IncidentState, waiting: Waiting) -> None:
        run = state.run(waiting.run) if waiting.run else None
        if run is None or run.plan is None:
            return
        given = {approval.principal for approval in run.approvals}
        for principal in (TECHNICAL_LEAD, COMMANDER):
            if principal not in given:
                sign = await self.desk.signer(principal)
                approval = self.desk.principals.approve(principal, run.plan, sign, self.desk.clock.now())
                await self.desk.incidents.record(state.id, PlanApproved(run.id, approval), principal)
                return

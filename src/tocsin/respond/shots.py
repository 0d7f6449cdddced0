"""Takes a reflex's shot into the incident that it belongs to: its pause step is already done, and must be verified.

The shot came first. The incident's own run of the same pause, planned or still being planned, is taken over by it, so
that nothing is sent a second time; where no run fits any more, the shot is noted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from tocsin.actions.catalogue import Catalogue
from tocsin.domain.actions import ActionCall, Plan
from tocsin.domain.canonical import Json
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import TxHash
from tocsin.domain.principals import TOCSIN
from tocsin.incident.events import NoteAdded, RunFired
from tocsin.incident.state import IncidentState, RunState
from tocsin.respond.incidents import Incidents
from tocsin.respond.planning import incident_variables
from tocsin.runbook.placeholders import bind_placeholders

log = structlog.get_logger(__name__)

INCIDENTS_SEARCHED_MAX = 50
"""A shot is valid for some blocks only, so its incident, if it has one, is among the newest."""


@dataclass(frozen=True, slots=True)
class FiredAction:
    """What a reflex did: an action of the catalogue with its typed input as JSON, and the transaction it sent."""

    action: str
    summary: str
    inputs: Mapping[str, Json]
    before: Mapping[str, Json]
    resources: tuple[str, ...]
    outbox_key: str
    tx: TxHash
    armed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shots:
    """Records shots in incidents."""

    incidents: Incidents
    catalogue: Catalogue
    variables: Mapping[str, str]
    network: int

    async def take(self, detection: Detection, fired: FiredAction) -> str:
        """Declares (or finds) the incident of the detection and records the shot in it; repeating it changes nothing.

        Returns: the incident's id.
        """
        incident = await self.incidents.detected(detection)
        state = await self.incidents.state(incident)
        for run in state.runs():
            alternative = await self._alternative(state, run, fired)
            if alternative is None:
                continue
            plan = Plan(
                run=run.id,
                action=fired.action,
                summary=fired.summary,
                inputs=fired.inputs,
                before=fired.before,
                resources=fired.resources,
                approvals_needed=1,
                runbook_hash=state.runbook_hash,
                network=self.network,
            )
            event = RunFired(run.id, alternative, plan, fired.outbox_key, fired.armed_by)
            try:
                await self.incidents.record(incident, event, TOCSIN.id, key=_key(fired.outbox_key))
            except Refused as refused:
                log.info("shot_without_run", incident=incident, run=run.id, why=refused.message)
                continue
            return incident
        note = NoteAdded(f"The reflex fired again: {fired.summary}, transaction {fired.tx}")
        await self.incidents.record(incident, note, TOCSIN.id, key=_key(fired.outbox_key))
        return incident

    async def taken(self, outbox_key: str) -> bool:
        """Whether the shot under this key stands in one of the incidents that were declared last."""
        for summary in (await self.incidents.summaries())[:INCIDENTS_SEARCHED_MAX]:
            if any(recorded.key == _key(outbox_key) for recorded in await self.incidents.history(summary.id)):
                return True
        return False

    async def _alternative(self, state: IncidentState, run: RunState, fired: FiredAction) -> int | None:
        """Which of the run's alternatives is the call that was fired; None if none is."""
        _, emergency = await self.incidents.emergency_of(state)
        commands = emergency.steps[run.step - 1].choices[run.choice].alternatives
        for index in run.alternatives:
            call = commands[index].call
            if call is not None and call.action == fired.action and await self._is_same(state, call, fired):
                return index
        return None

    async def _is_same(self, state: IncidentState, call: ActionCall, fired: FiredAction) -> bool:
        variables = {**self.variables, **incident_variables(state)}
        arguments, missing = bind_placeholders(dict(call.arguments), variables)
        if missing or not isinstance(arguments, Mapping):
            return False
        try:
            bound = await self.catalogue.bind(ActionCall(call.action, arguments, call.position, call.inferred))
        except (Refused, Unavailable):
            return False
        target = _target(bound.inputs())
        return target is not None and target == _target(fired.inputs)


def _key(outbox_key: str) -> str:
    """Under what the event of a shot is recorded, so that it is recorded once."""
    return f"shot:{outbox_key}"


def _target(inputs: Mapping[str, Json]) -> tuple[Json, Json, Json] | None:
    """What a call is aimed at, its reason left aside: contract, method, and what it stops. None if it is no call."""
    call = inputs.get("call")
    if not isinstance(call, Mapping):
        return None
    return call.get("contract"), call.get("method"), inputs.get("stops")

"""The verbs of an incident: declare, record, read. Every door (command line, detections, workflows) comes through here.

An event is appended only if it applies to the incident as it stands, and only if nobody appended another in between;
the log is the truth, and this is where it is guarded.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tocsin.domain.actions import Autonomy
from tocsin.domain.clock import Clock
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused
from tocsin.domain.principals import TOCSIN
from tocsin.incident.decide import Decision, replay, start
from tocsin.incident.events import Declared, DetectionJoined, Event, PlanApproved, Recorded
from tocsin.incident.refusals import refusal
from tocsin.incident.state import IncidentState, Promises
from tocsin.respond.approvals import Principals
from tocsin.respond.library import Library
from tocsin.respond.ports import EventLog, IncidentIndex, IncidentSummary, LogMoved, NewEvent
from tocsin.runbook.model import Emergency, Runbook, Severity

_APPEND_TRIES_MAX = 20
EVENTS_MAX = 100_000
"""Events of one incident that are read at most; far above what people and rules can produce in one."""
_INSTANT_KEY = "declared"


class NotApplicable(Refused):
    """An event does not apply to its incident as it stands now. The message says why, and what to do instead."""

    def __init__(self, incident: str, reason: str) -> None:
        super().__init__("does-not-apply", f"{incident}: {reason}", next_step="see `tocsin next`")


@dataclass(frozen=True, slots=True)
class Incidents:
    """Declares incidents, appends to their logs, and folds the logs to states.

    `appended` is called after every append of this process, so that its workflows need not wait for the next poll.
    """

    log: EventLog
    index: IncidentIndex
    library: Library
    principals: Principals
    clock: Clock
    mode: Autonomy
    appended: Callable[[], None]

    async def declare(
        self, emergency: str, *, principal: str, reason: str, key: str | None = None, severity: Severity | None = None
    ) -> tuple[str, bool]:
        """Opens an incident for an emergency of the accepted runbook, or finds the open one with the same key.

        Returns: the incident's id, and whether it was opened now.

        Raises:
            Refused: no runbook is accepted, it has no such emergency, or the principal is not enrolled.
        """
        self.principals.get(principal)
        runbook = await self.library.accepted()
        found = _emergency(runbook, emergency)
        declared = Declared(
            emergency=found.slug,
            title=found.title,
            severity=severity or found.severity,
            key=key or f"{found.slug}:{uuid.uuid4().hex[:12]}",
            reason=reason,
            runbook_hash=runbook.hash,
            mode=self.mode,
        )
        new = NewEvent(at=self.clock.now(), principal=principal, key=_INSTANT_KEY, event=declared)
        incident, created = await self.index.open_incident(declared.key, new)
        self.appended()
        return incident, created

    async def detected(self, detection: Detection) -> str:
        """Joins a detection to the open incident with its key, or opens one. Repeating it changes nothing.

        Returns: the incident's id.
        """
        incident, _ = await self.declare(
            detection.emergency, principal=TOCSIN.id, reason=detection.summary, key=detection.key
        )
        await self.record(incident, DetectionJoined(detection), TOCSIN.id, key=f"detection:{detection.id}")
        return incident

    async def record(self, incident: str, event: Event, principal: str, *, key: str | None = None) -> Recorded:
        """Appends an event that applies to the incident as it stands.

        `key` makes the append repeatable: under a key that the incident's log has already, nothing is appended and
        the standing event is returned.

        Raises:
            NotApplicable: the event does not apply now; nothing was recorded.
            Refused: the principal is not enrolled, an approval is none, or others kept appending; nothing was recorded.
        """
        self.principals.get(principal)
        key = key or uuid.uuid4().hex
        for _ in range(_APPEND_TRIES_MAX):
            history = await self.history(incident)
            standing = next((r for r in history if r.key == key), None)
            if standing is not None:
                return standing
            state = await self._fold(incident, history)
            if isinstance(event, PlanApproved):
                self._check_approval(state, event, principal)
            now = self.clock.now()
            reason = refusal(state, event, principal, now)
            if reason is not None:
                raise NotApplicable(incident, reason)
            new = NewEvent(at=now, principal=principal, key=key, event=event)
            try:
                (recorded,) = await self.log.append(incident, [new], expected_seq=history[-1].seq)
            except LogMoved:
                continue
            self.appended()
            return recorded
        raise Refused(
            "log-is-busy",
            f"{incident}: others appended to its log {_APPEND_TRIES_MAX} times in a row",
            next_step="try again",
        )

    async def history(self, incident: str) -> Sequence[Recorded]:
        """Every event of the incident, in order.

        Raises:
            Refused: there is no such incident.
        """
        history = await self.log.read(incident, limit=EVENTS_MAX)
        if not history:
            raise Refused(
                "incident-unknown", f"there is no incident {incident}", next_step="`tocsin incidents` lists them"
            )
        return history

    async def state(self, incident: str) -> IncidentState:
        """The incident as it stands.

        Raises:
            Refused: there is no such incident.
        """
        return await self._fold(incident, await self.history(incident))

    async def summaries(self) -> Sequence[IncidentSummary]:
        """All incidents, the newest first."""
        return await self.log.incidents()

    async def emergency_of(self, state: IncidentState) -> tuple[Runbook, Emergency]:
        """The runbook that the incident is pinned to, and its emergency in it."""
        runbook = await self.library.pinned(state.runbook_hash)
        return runbook, _emergency(runbook, state.emergency)

    async def start(self, first: Recorded) -> Decision:
        """The first state of an incident and its first commands, from its declaration."""
        emergency, promises = await self._procedure(first)
        return start(emergency, promises, first)

    async def _fold(self, incident: str, history: Sequence[Recorded]) -> IncidentState:
        emergency, promises = await self._procedure(history[0])
        return replay(emergency, promises, history)

    async def _procedure(self, first: Recorded) -> tuple[Emergency, Promises]:
        declared = first.event
        assert isinstance(declared, Declared), f"the log of {first.incident} does not begin with its declaration"
        runbook = await self.library.pinned(declared.runbook_hash)
        return _emergency(runbook, declared.emergency), Promises.of(runbook)

    def _check_approval(self, state: IncidentState, event: PlanApproved, principal: str) -> None:
        run = state.run(event.run)
        if run is None or run.plan is None:
            raise Refused(
                "nothing-to-approve", f"there is no plan {event.run} to approve", next_step="see `tocsin next`"
            )
        if event.approval.principal != principal:
            raise Refused("approval-of-another", f"{principal} can't record an approval by {event.approval.principal}")
        self.principals.check(event.approval, run.plan)


def _emergency(runbook: Runbook, name: str) -> Emergency:
    found = runbook.emergency(name)
    if found is None:
        raise Refused(
            "emergency-unknown",
            f"{runbook.file} has no emergency {name!r}",
            next_step=f"it has {', '.join(e.slug for e in runbook.emergencies)}",
        )
    return found

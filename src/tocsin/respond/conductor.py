"""The durable loop of an incident: take events, `decide`, carry out the commands, wait for more.

DBOS keeps the place; the event log keeps the truth. A workflow's steps record only *that* something was carried out
(up to which event it has read, which command is done), never facts, so that a replay after a crash folds the same log
to the same commands. Runs are workflows of their own: waiting for a block delays nobody.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from datetime import datetime, timedelta

import structlog
from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

from tocsin.domain.principals import TOCSIN
from tocsin.incident.commands import (
    AssignRoles,
    ClearDeadline,
    Command,
    Execute,
    Preflight,
    Reconcile,
    SetDeadline,
)
from tocsin.incident.decide import decide
from tocsin.incident.events import DeadlineKind, DeadlineReached, Recorded, Reopened
from tocsin.incident.state import IncidentState
from tocsin.respond.dbos_engine import at_work
from tocsin.respond.incidents import EVENTS_MAX, NotApplicable
from tocsin.respond.ports import DeadlineStore, EventLog
from tocsin.respond.runner import Runner

log = structlog.get_logger(__name__)

_WAKE = "wake"
_IDLE = timedelta(hours=1)
"""How long a workflow sleeps without being woken before it looks at the log by itself."""
_POLL_S = 0.1
_DUE_MAX = 100


@DBOS.dbos_class()
class Conductor(DBOSConfiguredInstance):
    """Starts and wakes the workflows of incidents, and carries their commands out."""

    def __init__(self, runner: Runner, event_log: EventLog, deadlines: DeadlineStore) -> None:
        super().__init__("conductor")
        self._runner, self._log, self._deadlines = runner, event_log, deadlines
        self._appended = asyncio.Event()
        self._started: set[str] = set()

    def nudge(self) -> None:
        """Something was appended in this process: look at once instead of at the next poll."""
        self._appended.set()

    async def watch(self) -> None:
        """Starts and wakes workflows as the log grows, by whichever process; runs until cancelled."""
        position = 0
        while True:
            self._appended.clear()
            position, changed = await self._log.changed_since(position)
            for incident in sorted(changed):
                await self._wake(incident)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._appended.wait(), _POLL_S)

    async def keep_deadlines(self) -> None:
        """Records deadlines whose moment has come; runs until cancelled. A restart finds the rows again."""
        clock, incidents = self._runner.clock, self._runner.incidents
        while True:
            for due in await self._deadlines.due(clock.now(), _DUE_MAX):
                event = DeadlineReached(due.kind, due.reference, due.due_at)
                key = f"deadline:{due.kind}:{due.reference}:{due.due_at.isoformat()}"
                try:
                    await incidents.record(due.incident, event, TOCSIN.id, key=key)
                except NotApplicable as moot:
                    log.info("deadline_moot", incident=due.incident, deadline=due.kind, why=moot.message)
                await self._deadlines.clear(due.incident, due.kind, due.reference, due.due_at)
            await asyncio.sleep(_POLL_S)

    async def _wake(self, incident: str) -> None:
        history = await self._log.read(incident, limit=EVENTS_MAX)
        reopened = [r.seq for r in history if isinstance(r.event, Reopened)]
        workflow = f"{incident}/{len(reopened)}"
        if workflow not in self._started:
            with SetWorkflowID(workflow):
                await DBOS.start_workflow_async(self.conduct, incident, reopened[-1] - 1 if reopened else 0)
            self._started.add(workflow)
        await DBOS.send_async(workflow, _WAKE, _WAKE)

    @DBOS.workflow()
    async def conduct(self, incident: str, seen: int) -> int:
        """The loop of one incident from the event after `seen` to its end. Returns the last event's number.

        Reading the log outside a step is safe here: it only grows, so the events up to a number never change.
        """
        with at_work():
            state = await self._state_at(incident, seen)
            while True:
                upto = await self.take(incident, seen)
                if upto == seen:
                    await DBOS.recv_async(_WAKE, timeout_seconds=_IDLE.total_seconds())
                    continue
                for recorded in await self._log.read(incident, after=seen, limit=upto - seen):
                    state = await self._follow(incident, state, recorded)
                    if not state.is_open:
                        return recorded.seq  # what comes after a reopening is another workflow's
                seen = upto

    async def _follow(self, incident: str, state: IncidentState | None, recorded: Recorded) -> IncidentState:
        """The state after the event; what it asks for has been carried out."""
        if state is None:
            state, commands = await self._runner.incidents.start(recorded)
        else:
            state, commands = decide(state, recorded)
        for command in commands:
            await self._carry_out(incident, recorded, command)
        return state

    async def _state_at(self, incident: str, seq: int) -> IncidentState | None:
        state: IncidentState | None = None
        for recorded in await self._log.read(incident, limit=EVENTS_MAX):
            if recorded.seq > seq:
                break
            state = (await self._runner.incidents.start(recorded))[0] if state is None else decide(state, recorded)[0]
        return state

    async def _carry_out(self, incident: str, recorded: Recorded, command: Command) -> None:
        match command:
            case AssignRoles(roles):
                await self.assign_roles(incident, list(roles))
            case SetDeadline(kind, reference, due_at):
                await self.set_deadline(incident, kind.value, reference, due_at.isoformat())
            case ClearDeadline(kind, reference):
                await self.clear_deadline(incident, kind.value, reference)
            case Preflight(run):
                with SetWorkflowID(f"{run}/preflight"):
                    await DBOS.start_workflow_async(self.preflight, incident, run)
            case Execute(run):
                with SetWorkflowID(f"{run}/execute"):
                    await DBOS.start_workflow_async(self.execute, incident, run)
            case Reconcile(run):
                with SetWorkflowID(f"{run}/reconcile/{recorded.seq}"):
                    await DBOS.start_workflow_async(self.reconcile, incident, run, recorded.seq)

    @DBOS.workflow()
    async def preflight(self, incident: str, run: str) -> None:
        """The preflight of one run."""
        with at_work():
            await self.try_plan(incident, run)

    @DBOS.workflow()
    async def execute(self, incident: str, run: str) -> None:
        """One approved run: send, then verify, each a step, so that a crash between them repeats neither."""
        with at_work():
            await self.send(incident, run)
            await self.verify(incident, run)

    @DBOS.workflow()
    async def reconcile(self, incident: str, run: str, asked: int) -> None:
        """Asks again about a run with an unknown outcome; `asked` numbers the event that wanted it."""
        with at_work():
            await self.ask_again(incident, run, asked)

    @DBOS.step()
    async def take(self, incident: str, seen: int) -> int:
        """How far the incident's log reaches now."""
        history = await self._log.read(incident, after=seen, limit=EVENTS_MAX)
        return history[-1].seq if history else seen

    @DBOS.step()
    async def assign_roles(self, incident: str, roles: list[str]) -> None:
        await self._runner.assign_roles(incident, tuple(roles))

    @DBOS.step()
    async def set_deadline(self, incident: str, kind: str, reference: str, due_at: str) -> None:
        await self._deadlines.set(incident, DeadlineKind(kind), reference, datetime.fromisoformat(due_at))

    @DBOS.step()
    async def clear_deadline(self, incident: str, kind: str, reference: str) -> None:
        await self._deadlines.clear(incident, DeadlineKind(kind), reference)

    @DBOS.step()
    async def try_plan(self, incident: str, run: str) -> None:
        await self._guarded(incident, run, self._runner.preflight(incident, run), "preflight")

    @DBOS.step()
    async def send(self, incident: str, run: str) -> None:
        await self._guarded(incident, run, self._runner.send(incident, run), "send")

    @DBOS.step()
    async def verify(self, incident: str, run: str) -> None:
        await self._guarded(incident, run, self._runner.verify(incident, run), "verify")

    @DBOS.step()
    async def ask_again(self, incident: str, run: str, asked: int) -> None:
        await self._guarded(incident, run, self._runner.reconcile(incident, run, str(asked)), f"reconcile:{asked}")

    async def _guarded(self, incident: str, run: str, work: Awaitable[None], attempt: str) -> None:
        """The one place where an error that nobody foresaw becomes part of the record instead of a dead workflow."""
        try:
            await work
        except Exception as error:  # noqa: BLE001
            await self._runner.crashed(incident, run, error, attempt)

"""Carries out what the incident asks for: preflights, runs and their verification, and the other commands.

Every method is safe to repeat: outcomes are recorded under keys made of the run's id, and a run's own key is what the
outbox knows it by. So a workflow that starts again after a crash ends with one effect and one record.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from tocsin.actions.catalogue import Bound, Catalogue
from tocsin.actions.protocol import Receipt
from tocsin.domain.actions import ActionCall, ActionStatus, Autonomy, Plan, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.clock import Clock
from tocsin.domain.errors import (
    Failed,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)
from tocsin.domain.principals import TOCSIN
from tocsin.incident.events import Event, PlanProposed, RoleAssigned, RunFinished, RunManual, RunRefused, RunSent
from tocsin.incident.state import IncidentState, RunState
from tocsin.respond.approvals import Principals
from tocsin.respond.incidents import Incidents, NotApplicable
from tocsin.respond.planning import bind_call, incident_variables, plan_call
from tocsin.respond.ports import Leases
from tocsin.runbook.model import Command

log = structlog.get_logger(__name__)

LEASE_TTL = timedelta(minutes=15)
LEASE_WAIT_MAX = timedelta(seconds=30)
LEASE_POLL = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the installation says about runs: its mode, the autonomy of actions, variables, and who takes roles.

    `network` is the magic number of the chain on which they run.
    """

    mode: Autonomy
    autonomy: Mapping[str, Autonomy]
    variables: Mapping[str, str]
    roles: Mapping[str, tuple[str, ...]]
    network: int


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs actions for incidents. A resource that another run changes is waited for, up to `lease_wait_max`."""

    incidents: Incidents
    catalogue: Catalogue
    leases: Leases
    principals: Principals
    clock: Clock
    rules: Rules
    lease_wait_max: timedelta = LEASE_WAIT_MAX
    lease_poll: timedelta = LEASE_POLL

    async def assign_roles(self, incident: str, roles: tuple[str, ...]) -> None:
        """Fills roles with the people that the configuration names first for them."""
        for role in roles:
            people = self.rules.roles.get(role, ())
            if people:
                await self._record(incident, RoleAssigned(role, people[0]), key=f"role:{role}:{people[0]}")

    async def preflight(self, incident: str, run: str) -> None:
        """Tries a run's alternatives in order and records the first plan that passes, or why none does."""
        state = await self.incidents.state(incident)
        found = state.run(run)
        if found is None or found.status is not ActionStatus.PREFLIGHT:
            return
        refusals: list[str] = []
        error: TocsinError | None = None
        for index in found.alternatives:
            command = await self._command(state, found, index)
            if command.call is None:
                if not refusals:
                    await self._record(
                        incident, RunManual(run, index, command.manual or "a person must do this"), f"{run}:manual"
                    )
                    return
                refusals.append(f"{command.text}: {command.manual}")
                continue
            try:
                bound, plan = await self.plan(state, run, command.call)
            except (Refused, Unavailable) as refused:
                refused.data.update(file=command.position.file, line=command.position.line)
                refusals.append(f"{command.position}: {refused.message}")
                error = error or refused
                continue
            proposed = PlanProposed(run, index, plan, self.autonomy(state, bound, command.call), tuple(refusals))
            await self._record(incident, proposed, f"{run}:proposed")
            return
        if error is not None and error.code == "action-not-installed":
            await self._record(incident, RunManual(run, found.alternatives[0], error.message), f"{run}:manual")
            return
        refused_event = RunRefused(run, (error or Refused("nothing-to-run", "no alternative can run")).as_json())
        await self._record(incident, refused_event, f"{run}:refused")

    async def plan(self, state: IncidentState, run: str, call: ActionCall) -> tuple[Bound, Plan]:
        """Binds a call for an incident and makes the plan of its run, by its preflight.

        Raises:
            Refused, Unavailable: it would fail.
        """
        return await plan_call(
            self.catalogue,
            call,
            self._variables(state),
            run=run,
            runbook_hash=state.runbook_hash,
            network=self.rules.network,
        )

    def _variables(self, state: IncidentState) -> Mapping[str, str]:
        return {**self.rules.variables, **incident_variables(state)}

    def autonomy(self, state: IncidentState, bound: Bound, call: ActionCall) -> Autonomy:
        """How freely the run may go: the strictest word of mode, source and setting; a read asks for no consent."""
        setting = self.rules.autonomy.get(bound.name, bound.autonomy)
        if not bound.changes:
            return setting
        source = Autonomy.ASK if call.inferred else Autonomy.ACT
        return Autonomy.strictest(self.rules.mode, state.mode, source, setting)

    async def send(self, incident: str, run: str) -> None:
        """Does an approved run up to its receipt: leases what it changes, checks the consents again, acts once."""
        state = await self.incidents.state(incident)
        found = state.run(run)
        if found is None or found.plan is None or found.status is not ActionStatus.RUNNING or found.tx is not None:
            return
        plan = found.plan
        try:
            # After a crash, or a reflex's shot, the run stands in the outbox already: then there is nothing to permit
            # or to send anew.
            bound, receipt = await self._recall(found, plan)
        except OutcomeUnknown as error:
            await self._finish(incident, run, ActionStatus.UNKNOWN, error=error)
            return
        try:
            if receipt is None:
                await self._permitted(state, found, plan)
                await self._lease(run, plan)
                receipt = await bound.run(found.key, plan.before)
        except TocsinError as error:
            # Unavailable means that nothing was sent yet: once it might have been, the sender says OutcomeUnknown.
            status = _status_of(error, sent=False)
            await self._finish(incident, run, status, error=error)
            await self._release(run, plan, status)
            return
        if receipt.tx is not None and receipt.valid_until_block is not None:
            await self._record(incident, RunSent(run, receipt.tx, receipt.valid_until_block), f"{run}:sent")

    async def verify(self, incident: str, run: str) -> None:
        """Reads the world after a run and records how it ended."""
        state = await self.incidents.state(incident)
        found = state.run(run)
        if found is None or found.plan is None or found.status is not ActionStatus.RUNNING:
            return
        await self._conclude(incident, found, found.plan, attempt="finished")

    async def reconcile(self, incident: str, run: str, attempt: str) -> None:
        """Asks the world again about a run whose outcome is unknown; never sends anything new."""
        state = await self.incidents.state(incident)
        found = state.run(run)
        if found is None or found.plan is None or found.status not in (ActionStatus.UNKNOWN, ActionStatus.RUNNING):
            return
        await self._conclude(incident, found, found.plan, attempt=f"reconciled:{attempt}")

    async def _conclude(self, incident: str, found: RunState, plan: Plan, *, attempt: str) -> None:
        run = found.id
        receipt: Receipt | None = None
        try:
            bound, receipt = await self._recall(found, plan)
            if receipt is None:
                raise Failed("nothing-sent", "nothing stands in the outbox for this run: nothing was ever sent")
            verification = await bound.verify(found.key, plan.before, receipt)
        except TocsinError as error:
            status = _status_of(error, sent=receipt is not None and receipt.tx is not None)
            await self._finish(incident, run, status, receipt, error=error, attempt=attempt)
        else:
            status, failure = _judged(verification)
            where = verification.height if verification.included_at is None else verification.included_at
            finished = RunFinished(run, status, receipt.tx, where, verification, failure)
            await self._record(incident, finished, f"{run}:{attempt}")
        await self._release(run, plan, status)

    async def _recall(self, found: RunState, plan: Plan) -> tuple[Bound, Receipt | None]:
        """The bound action of a run, and what an earlier attempt at it has handed out, if there was one.

        Raises:
            OutcomeUnknown: that can't be told now, so nothing may be said of what the run did.
        """
        try:
            bound = self.catalogue.restore(plan.action, plan.inputs)
            return bound, await bound.recall(found.key, plan.before)
        except TocsinError as error:
            raise OutcomeUnknown(
                "run-not-recalled",
                f"it can't be told whether this run has sent anything: {error.message}",
                next_step=error.next_step or "mend the cause, then reconcile the run",
            ) from error

    async def crashed(self, incident: str, run: str, error: Exception, attempt: str) -> None:
        """Records that a run met an error that nobody foresaw: its outcome is unknown until it is reconciled.

        `attempt` names what crashed, so that a second crash is recorded too, and a repeated record of one is not.
        """
        log.error("run_crashed", incident=incident, run=run, error=type(error).__name__, exc_info=error)
        state = await self.incidents.state(incident)
        found = state.run(run)
        happened = f"Tocsin itself failed during this run ({type(error).__name__})"
        if found is not None and found.status is ActionStatus.PREFLIGHT:
            refused = Refused("internal-error", f"{happened}; nothing was sent", next_step="see the log of the service")
            await self._record(incident, RunRefused(run, refused.as_json()), f"{run}:refused")
        else:
            unknown = OutcomeUnknown(
                "internal-error",
                happened,
                next_step="run the step again: it asks the chain what became of it, and sends nothing new",
            )
            await self._finish(incident, run, ActionStatus.UNKNOWN, error=unknown, attempt=f"crashed:{attempt}")

    async def _permitted(self, state: IncidentState, run: RunState, plan: Plan) -> None:
        """Checks once more, from runbook, settings and signatures alone, that this plan may run now.

        The plan in the log is not believed: its command is bound again, and what it needs is the action's to say.

        Raises:
            Refused: it may not.
            Unavailable: the platform can't be asked now.
        """
        assert run.alternative is not None, "a plan has an alternative"
        command = await self._command(state, run, run.alternative)
        if command.call is None:
            raise _not_the_runbooks(command)
        bound = await bind_call(self.catalogue, command.call, self._variables(state))
        if (bound.name, bound.inputs(), self.rules.network) != (plan.action, plan.inputs, plan.network):
            raise _not_the_runbooks(command)
        stricter = replace(plan, approvals_needed=max(plan.approvals_needed, bound.approvals))
        judged = replace(run, plan=stricter, autonomy=self.autonomy(state, bound, command.call))
        needed = judged.approvals_required
        if needed is None:
            raise Refused("mode-observe", "this installation only observes: nothing runs", next_step="change the mode")
        now = self.clock.now()
        consents = self.principals.consents(run.approvals, plan, now)
        if len(consents) >= needed:
            return
        # An approval that is none may have made it run: then the wait is not over, and the run is not permitted either.
        if judged.acts_after_wait and now >= await self._wait_ends_at(state, run):
            return
        raise Refused(
            "not-approved",
            f"{needed} approval(s) are needed, and {len(consents)} valid one(s) stand",
            next_step="run the step again and approve its plan",
        )

    async def _wait_ends_at(self, state: IncidentState, run: RunState) -> datetime:
        """Until when people can object to an `ask_then_act` run, counted from the moment the log has its plan."""
        history = await self.incidents.history(state.id)
        proposed = (r.at for r in history if isinstance(r.event, PlanProposed) and r.event.run == run.id)
        return next(proposed, self.clock.now()) + state.promises.approval_wait

    async def _command(self, state: IncidentState, run: RunState, alternative: int) -> Command:
        _, emergency = await self.incidents.emergency_of(state)
        return emergency.steps[run.step - 1].choices[run.choice].alternatives[alternative]

    async def _lease(self, run: str, plan: Plan) -> None:
        end = self.clock.now() + self.lease_wait_max
        for resource in sorted(plan.resources):  # in one order everywhere, so that no two runs wait for each other
            while not await self.leases.acquire(resource, run, LEASE_TTL):
                if self.clock.now() >= end:
                    raise Refused(
                        "resource-in-use",
                        f"another run is changing {resource}; nothing was sent",
                        next_step="wait until it has ended, then run the step again",
                    )
                await asyncio.sleep(self.lease_poll.total_seconds())

    async def _release(self, run: str, plan: Plan, status: ActionStatus) -> None:
        """Gives back what the run leased; what a run with an unknown outcome may still change stays leased."""
        if status is ActionStatus.UNKNOWN:
            return
        for resource in plan.resources:
            await self.leases.release(resource, run)

    async def _finish(
        self,
        incident: str,
        run: str,
        status: ActionStatus,
        receipt: Receipt | None = None,
        *,
        error: TocsinError,
        attempt: str = "finished",
    ) -> None:
        tx = receipt.tx if receipt is not None else None
        await self._record(incident, RunFinished(run, status, tx, None, None, error.as_json()), f"{run}:{attempt}")

    async def _record(self, incident: str, event: Event, key: str) -> None:
        """Records what came of a command, unless people have gone on meanwhile, so that nobody waits for it."""
        try:
            await self.incidents.record(incident, event, TOCSIN.id, key=key)
        except NotApplicable as moot:
            log.info("outcome_moot", incident=incident, outcome=type(event).__name__, why=moot.message)


def _not_the_runbooks(command: Command) -> Refused:
    return Refused(
        "plan-is-not-the-runbooks",
        f"this plan is not what the runbook's command at {command.position} comes to here; nothing was sent",
        next_step="find out whether the configuration was changed or the store altered, then run the step again",
    )


def _judged(verification: Verification) -> tuple[ActionStatus, Mapping[str, Json] | None]:
    """What a verification makes of a run, and the error that says why it is not verified."""
    if verification.holds:
        return ActionStatus.VERIFIED, None
    if verification.partial:
        return ActionStatus.PARTIAL, Partial("holds-in-part", verification.summary).as_json()
    return ActionStatus.FAILED, Failed("does-not-hold", verification.summary).as_json()


def _status_of(error: TocsinError, *, sent: bool) -> ActionStatus:
    """How a run ended that met this error. Once something was sent, only the chain's own word is certain."""
    match error:
        case Failed() | NeedsOperator():
            return ActionStatus.FAILED
        case Partial():
            return ActionStatus.PARTIAL
        case Refused() | Unavailable() if not sent:
            return ActionStatus.REFUSED
        case _:
            return ActionStatus.UNKNOWN

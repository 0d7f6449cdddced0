"""Why an event about a run does not apply now: outcomes that nobody waits for, approvals that must not count.

Part of `refusals`, which has checked already who says it.
"""

from datetime import datetime

from tocsin.domain.actions import ActionStatus, Plan
from tocsin.incident import verbs
from tocsin.incident.events import (
    PlanApproved,
    PlanProposed,
    RunFinished,
    RunFired,
    RunManual,
    RunRefused,
    RunSent,
)
from tocsin.incident.state import MAY_HAVE_EFFECT, IncidentState, RunState

_OUTCOMES = frozenset(
    {
        ActionStatus.VERIFIED,
        ActionStatus.REFUSED,
        ActionStatus.FAILED,
        ActionStatus.PARTIAL,
        ActionStatus.UNKNOWN,
    }
)

_BEFORE_RUNNING = frozenset({ActionStatus.PREFLIGHT, ActionStatus.WAITING, ActionStatus.OBSERVED})

type RunEvent = PlanProposed | RunRefused | RunManual | PlanApproved | RunFired | RunSent | RunFinished


def run_refusal(state: IncidentState, event: RunEvent, principal: str, at: datetime) -> str | None:
    """Why this event does not apply to its run, with what to do instead; None if it applies."""
    run = state.run(event.run)
    if run is None:
        return f"{state.id} has no run {event.run!r}: `{verbs.show(state.id)}` lists them"
    match event:
        case PlanProposed() | RunManual() | RunRefused():
            return _preflight_refusal(state, run, event)
        case PlanApproved():
            return _approval_refusal(run, event, principal, at)
        case RunFired():
            return _fired_refusal(state, run, event)
        case RunSent():
            if run.status not in MAY_HAVE_EFFECT:
                return f"run {run.id} is {run.status}: it may send nothing"
            return f"run {run.id} has sent {run.tx} already" if run.tx not in (None, event.tx) else None
        case RunFinished():
            return _outcome_refusal(run, event)


def _preflight_refusal(state: IncidentState, run: RunState, event: PlanProposed | RunManual | RunRefused) -> str | None:
    if run.status is not ActionStatus.PREFLIGHT:
        return f"run {run.id} is {run.status}: its preflight is no longer waited for"
    if not isinstance(event, RunRefused) and event.alternative not in run.alternatives:
        return f"run {run.id} does not try alternative {event.alternative}"
    return _plan_refusal(state, run, event.plan) if isinstance(event, PlanProposed) else None


def _fired_refusal(state: IncidentState, run: RunState, event: RunFired) -> str | None:
    step = state.step(run.step)
    assert step is not None, "a run belongs to a step"
    is_current = step.choices[run.choice].current == run.id and not step.status.finished
    if run.status not in _BEFORE_RUNNING or run.settled or not is_current:
        return f"run {run.id} is {run.status}, settled or not the present one: a reflex can't take its place any more"
    if event.alternative not in run.alternatives:
        return f"run {run.id} does not try alternative {event.alternative}"
    return _plan_refusal(state, run, event.plan)


def _plan_refusal(state: IncidentState, run: RunState, plan: Plan) -> str | None:
    if plan.run != run.id:
        return f"this plan is for run {plan.run!r}, not {run.id}"
    if plan.runbook_hash != state.runbook_hash:
        return f"this plan was made from another runbook than the one {state.id} began with"
    return None


def _approval_refusal(run: RunState, event: PlanApproved, principal: str, at: datetime) -> str | None:
    approval = event.approval
    if run.status is ActionStatus.OBSERVED:
        return f"run {run.id} is only observed: nothing runs in this mode; do it by hand or skip the step"
    if run.status is not ActionStatus.WAITING or run.plan is None:
        return f"run {run.id} does not wait for an approval (it is {run.status})"
    if approval.principal != principal:
        return f"this approval is {approval.principal}'s: everybody approves for themselves"
    if approval.plan_hash != run.plan.hash:
        return f"this approval is for another plan: read the present one and approve it with `{verbs.approve(run.id)}`"
    if at >= approval.expires_at:
        return f"this approval has expired: give it again with `{verbs.approve(run.id)}`"
    if any(given.principal == principal for given in run.valid_approvals(at)):
        return f"{principal} has approved run {run.id} already: another person must"
    return None


def _outcome_refusal(run: RunState, event: RunFinished) -> str | None:
    if event.status not in _OUTCOMES:
        return f"{event.status} is no outcome of a run"
    if run.status not in MAY_HAVE_EFFECT:
        return f"run {run.id} is {run.status}: no outcome is waited for"
    verification = event.verification
    if event.status is ActionStatus.VERIFIED and verification is not None and not verification.holds:
        return f"run {run.id} can't be verified by a verification that does not hold"
    return None

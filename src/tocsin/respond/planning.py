"""From a call of the runbook to a plan: its placeholders replaced, bound to the platform, and tried by its preflight.

Which call of which run, and what becomes of the plan, is `runner`'s and `trial`'s.
"""

from collections.abc import Mapping

from tocsin.actions.catalogue import Bound, Catalogue
from tocsin.domain.actions import ActionCall, Plan
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, TocsinError
from tocsin.incident.state import IncidentState
from tocsin.runbook.placeholders import bind_placeholders


async def plan_call(
    catalogue: Catalogue, call: ActionCall, variables: Mapping[str, str], *, run: str, runbook_hash: str, network: int
) -> tuple[Bound, Plan]:
    """Binds a call to the platform and makes its plan, by its preflight.

    Raises:
        Refused: a placeholder has no value, or the preflight failed; the data names file and line.
        Unavailable: the platform can't be asked now.
    """
    bound = await bind_call(catalogue, call, variables)
    try:
        preflight = await bound.preflight()
    except TocsinError as error:
        error.data.update(_place(call))
        raise
    return bound, Plan(
        run=run,
        action=bound.name,
        summary=preflight.summary,
        inputs=bound.inputs(),
        before=preflight.before,
        resources=preflight.resources,
        approvals_needed=bound.approvals,
        runbook_hash=runbook_hash,
        network=network,
    )


async def bind_call(catalogue: Catalogue, call: ActionCall, variables: Mapping[str, str]) -> Bound:
    """Binds a call to the platform, its placeholders replaced.

    Raises:
        Refused: a placeholder has no value, or the call does not fit the platform; the data names file and line.
        Unavailable: the platform can't be asked now.
    """
    arguments, missing = bind_placeholders(dict(call.arguments), variables)
    try:
        if missing:
            raise Refused(
                "placeholder-unbound",
                f"no value is bound for {', '.join(f'<{name}>' for name in missing)}",
                next_step="bind it under [variables] in the configuration",
            )
        assert isinstance(arguments, Mapping)
        return await catalogue.bind(ActionCall(call.action, arguments, call.position, call.inferred))
    except TocsinError as error:
        error.data.update(_place(call))
        raise


def _place(call: ActionCall) -> Mapping[str, Json]:
    return {"file": call.position.file, "line": call.position.line}


def incident_variables(state: IncidentState) -> dict[str, str]:
    """Values that the incident itself gives to placeholders."""
    reason = f"{state.id}: {state.title}"
    return {"reason": reason, "emergency_reason": reason, "timestamp": state.declared_at.isoformat()}

"""A dry run: every preflight of a procedure against the live platform, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.actions.catalogue import Catalogue
from tocsin.connect.ports import OutboxEntry, OutboxStatus
from tocsin.domain.actions import Plan
from tocsin.domain.errors import Refused, TocsinError, Unavailable
from tocsin.respond.planning import plan_call
from tocsin.runbook.model import Command, Emergency, Runbook, Step

_EXAMPLE_REASON = "dry run"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying one command: a plan, an error, or the reason why only a person can do it."""

    step: Step
    command: Command
    plan: Plan | None = None
    error: TocsinError | None = None
    manual: str | None = None


async def try_procedure(
    catalogue: Catalogue, runbook: Runbook, emergency: Emergency, variables: Mapping[str, str], network: int
) -> list[Trial]:
    """Tries every command of the procedure, alternatives too, in the order of the runbook."""
    given = {"reason": _EXAMPLE_REASON, "emergency_reason": _EXAMPLE_REASON, **variables}
    return [
        await _try(catalogue, runbook, step, command, given, network)
        for step in emergency.steps
        for choice in step.choices
        for command in choice.alternatives
    ]


async def _try(
    catalogue: Catalogue, runbook: Runbook, step: Step, command: Command, variables: Mapping[str, str], network: int
) -> Trial:
    if command.call is None:
        return Trial(step, command, manual=command.manual)
    if command.call.action not in catalogue:
        return Trial(step, command, manual=f"this installation has no action {command.call.action}: do it by hand")
    try:
        _, plan = await plan_call(
            catalogue, command.call, variables, run="dry-run", runbook_hash=runbook.hash, network=network
        )
    except (Refused, Unavailable) as error:
        return Trial(step, command, error=error)
    return Trial(step, command, plan=plan)


class NoOutbox:
    """An outbox for what must never send: it refuses to take anything."""

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        raise Refused("dry-run", "a dry run sends nothing")

    async def get(self, key: str) -> OutboxEntry | None:
        return None

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        raise Refused("dry-run", "a dry run sends nothing")

    async def unsettled(self) -> Sequence[OutboxEntry]:
        return ()

"""The verbs of an incident. They append to the event log as the named principal; `tocsin serve` carries things out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.incident_views import (
    call_document,
    incident_document,
    print_incident,
    print_incidents,
    print_waiting,
    waiting_document,
)
from tocsin.cli.options import ActingOptions, Options
from tocsin.cli.output import out, print_json
from tocsin.domain.actions import Plan
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.incident.calls import exactly
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    CommandDone,
    ConditionAnswered,
    Event,
    ItemTicked,
    NoteAdded,
    PlanApproved,
    Reopened,
    Resolved,
    RoleAssigned,
    SeverityChanged,
    Status,
    StatusChanged,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.timeline import timeline
from tocsin.incident.waiting import waiting_for
from tocsin.runbook.model import Severity

if TYPE_CHECKING:
    from tocsin.app import Desk

type Reason = Annotated[str, Parameter(name="--reason")]
"""Why; it stands on the timeline."""

PLAN_DIGITS_MIN = 8
"""How much of a plan's hash names it: with less, somebody could find another plan that begins alike."""

step = App(name="step", help="Run, skip, answer, tick or report a step of the procedure.")


def declare(
    emergency: str,
    /,
    *,
    reason: Reason,
    severity: Severity | None = None,
    options: ActingOptions | None = None,
) -> None:
    """Declare an incident.

    Parameters
    ----------
    emergency
        Which emergency of the runbook: its slug, number or title.
    severity
        Another severity than the runbook's. Unsure means higher.
    """
    options = options or ActingOptions()

    async def act(desk: "Desk", principal: str) -> Json:
        incident, created = await desk.incidents.declare(
            emergency, principal=principal, reason=reason, severity=severity
        )
        if not options.json:
            told = "is declared" if created else "was open already"
            out.print(f"{incident} {told}. Next: {options.copyable(f'tocsin next {incident}')}", markup=False)
        return {"incident": incident, "created": created}

    _act(options, act)


def incidents(*, options: Options | None = None) -> None:
    """List the incidents, the newest first."""
    options = options or Options()

    async def read(desk: "Desk") -> None:
        summaries = await desk.incidents.summaries()
        states = [await desk.incidents.state(s.id) for s in summaries]
        if options.json:
            print_json([incident_document(state) for state in states])
        else:
            print_incidents(states)

    _read(options, read)


def incident(incident: str, /, *, options: Options | None = None) -> None:
    """Show an incident: where it stands, its steps, and the timeline."""
    options = options or Options()

    async def read(desk: "Desk") -> None:
        history = await desk.incidents.history(incident)
        state = await desk.incidents.state(incident)
        _, emergency = await desk.incidents.emergency_of(state)
        entries = timeline(history, emergency)
        if options.json:
            print_json(incident_document(state, entries))
        else:
            print_incident(state, entries)

    _read(options, read)


def next_(incident: str | None = None, /, *, options: Options | None = None) -> None:
    """Show what is waiting for people, in one incident or in all that are open."""
    options = options or Options()

    async def read(desk: "Desk") -> None:
        ids = [incident] if incident else [s.id for s in await desk.incidents.summaries() if s.is_open]
        found = [(state, waiting_for(state)) for state in [await desk.incidents.state(i) for i in ids]]
        if options.json:
            print_json([waiting_document(state, waiting, options.copyable) for state, waiting in found])
        else:
            print_waiting(found, desk.clock.now(), options.copyable)

    _read(options, read)


def ack(incident: str, /, *, options: ActingOptions | None = None) -> None:
    """Acknowledge an incident: you have seen it and are on it."""
    _record(options, incident, Acknowledged(), "acknowledged")


def approve(run: str, /, *, plan: str | None = None, options: ActingOptions | None = None) -> None:
    """Approve the plan of a run, signed with your enrolled key. `tocsin next` shows the plan.

    Parameters
    ----------
    run
        The run, such as INC-2026-0001/1.0.1.
    plan
        The hash of the plan that you have read, or its beginning (8 digits or more): refused if another plan stands.
    """
    options = options or ActingOptions()
    incident = run.split("/", 1)[0]

    async def act(desk: "Desk", principal: str) -> Json:
        state = await desk.incidents.state(incident)
        found = state.run(run)
        if found is None or found.plan is None:
            raise Refused("nothing-to-approve", f"{run} has no plan to approve", next_step="see `tocsin next`")
        if plan is not None:
            _must_be(plan, found.plan)
        sign = await desk.signer(principal)
        approval = desk.principals.approve(principal, found.plan, sign, desk.clock.now())
        await desk.incidents.record(incident, PlanApproved(run, approval), principal)
        if not options.json:
            out.print(f"{principal} approved: {found.plan.summary}", markup=False)
            out.print(f"  exactly: {exactly(found.plan.inputs)}", markup=False)
        call = call_document(found.plan.inputs)
        return {"incident": incident, "run": run, "plan": found.plan.hash, "call": call, "principal": principal}

    _act(options, act)


def _must_be(given: str, standing: Plan) -> None:
    """Makes sure that the plan which stands is the one that was read."""
    if len(given) < PLAN_DIGITS_MIN or not set(given.lower()) <= set("0123456789abcdef"):
        raise Refused(
            "plan-hash-unusable",
            f"{given!r} names no plan: {PLAN_DIGITS_MIN} or more hexadecimal digits of its hash do",
            next_step="copy the command that `tocsin next` shows",
        )
    if not standing.hash.startswith(given.lower()):
        raise Refused(
            "approval-of-another-plan",
            f"the plan of {standing.run} that stands is {standing.hash[:12]}, not {given}",
            next_step="look at the plan again (`tocsin next`) and approve it",
        )


def note(incident: str, text: str, /, *, options: ActingOptions | None = None) -> None:
    """Add a note to the timeline."""
    _record(options, incident, NoteAdded(text), "noted")


def severity(incident: str, to: Severity, /, *, reason: Reason, options: ActingOptions | None = None) -> None:
    """Change the severity. Unsure means higher."""
    _record(options, incident, SeverityChanged(to, reason), f"severity {to}")


def role(incident: str, role: str, person: str, /, *, options: ActingOptions | None = None) -> None:
    """Give a role (IC, TL, CL) to a person."""
    _record(options, incident, RoleAssigned(role.upper(), person), f"{role.upper()} is {person}")


def status(incident: str, to: Status, /, *, reason: Reason, options: ActingOptions | None = None) -> None:
    """Move the incident on: investigating, mitigating or monitoring."""
    _record(options, incident, StatusChanged(to, reason), f"{to}")


def close(
    incident: str,
    /,
    *,
    false_alarm: Annotated[bool, Parameter(negative=())],
    reason: Reason,
    options: ActingOptions | None = None,
) -> None:
    """Close an incident that was none. What really happened is resolved instead.

    Parameters
    ----------
    false_alarm
        Says that nothing happened; there is no other way to close.
    """
    if not false_alarm:
        raise Refused(
            "not-a-false-alarm", "only a false alarm is closed", next_step=f"tocsin resolve {incident} --reason …"
        )
    _record(options, incident, ClosedAsFalseAlarm(reason), "closed as a false alarm")


def resolve(incident: str, /, *, reason: Reason = "", options: ActingOptions | None = None) -> None:
    """Resolve an incident whose procedure is through."""
    _record(options, incident, Resolved(reason), "resolved")


def reopen(incident: str, /, *, reason: Reason, options: ActingOptions | None = None) -> None:
    """Open a closed incident again."""
    _record(options, incident, Reopened(reason), "open again")


@step.command
def run(
    incident: str,
    number: int,
    /,
    *,
    reason: Reason = "",
    choice: int | None = None,
    alternative: int | None = None,
    options: ActingOptions | None = None,
) -> None:
    """Run a step: early, again, or by another alternative. After an unknown outcome this asks the chain first.

    Parameters
    ----------
    number
        The step's number in the runbook.
    choice
        Which of the step's choices, counted from 0.
    alternative
        Which alternative of the choice, counted from 0.
    """
    _record(options, incident, StepRequested(number, reason, choice, alternative), f"step {number} requested")


@step.command
def skip(incident: str, number: int, /, *, reason: Reason, options: ActingOptions | None = None) -> None:
    """Skip a step, with the reason."""
    _record(options, incident, StepSkipped(number, reason), f"step {number} skipped")


@step.command
def answer(
    incident: str, number: int, holds: bool, /, *, reason: Reason = "", options: ActingOptions | None = None
) -> None:
    """Answer a step's condition ("if critical"): yes or no. No skips the step."""
    _record(options, incident, ConditionAnswered(number, holds, reason), f"step {number}: {'yes' if holds else 'no'}")


@step.command
def tick(incident: str, number: int, item: int, text: str = "", /, *, options: ActingOptions | None = None) -> None:
    """Tick an item of a step's checklist, with what was found.

    Parameters
    ----------
    item
        Which item, counted from 0.
    """
    _record(options, incident, ItemTicked(number, item, text), f"step {number}, item {item} ticked")


@step.command
def done(
    incident: str,
    number: int,
    text: str = "",
    /,
    *,
    choice: int = 0,
    alternative: int = 0,
    options: ActingOptions | None = None,
) -> None:
    """Say that you did a manual command of a step, and how it went."""
    _record(options, incident, CommandDone(number, choice, alternative, text), f"step {number} done by hand")


def _record(options: ActingOptions | None, incident: str, event: Event, said: str) -> None:
    given = options or ActingOptions()

    async def act(desk: "Desk", principal: str) -> Json:
        recorded = await desk.incidents.record(incident, event, principal)
        if not given.json:
            out.print(f"{incident}: {said} (by {principal})", markup=False)
        return {"incident": incident, "seq": recorded.seq, "at": recorded.at.isoformat(), "principal": principal}

    _act(given, act)


def _act(options: ActingOptions, act: Callable[["Desk", str], Awaitable[Json]]) -> None:
    from tocsin.app import open_desk

    async def main() -> Json:
        settings = options.settings()
        async with open_desk(settings) as desk:
            principal = options.principal(settings)
            desk.principals.get(principal)
            return await act(desk, principal)

    document = asyncio.run(main())
    if options.json:
        print_json(document)


def _read(options: Options, read: Callable[["Desk"], Awaitable[None]]) -> None:
    from tocsin.app import open_desk

    async def main() -> None:
        async with open_desk(options.settings()) as desk:
            await read(desk)

    asyncio.run(main())

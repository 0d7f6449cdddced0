"""How incidents look: as JSON documents, and as text for somebody who was just woken up."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from rich.markup import escape
from rich.table import Table

from tocsin.cli.output import clock_time, duration, hanging, minute, moment, out
from tocsin.domain.actions import ActionStatus
from tocsin.domain.canonical import Json
from tocsin.incident.calls import exactly, planned_call
from tocsin.incident.state import IncidentState, RunState, StepState, StepStatus
from tocsin.incident.timeline import TimelineEntry
from tocsin.incident.waiting import Waiting

_STEP_MARKS = {
    StepStatus.PENDING: "[dim]·[/]",
    StepStatus.ACTIVE: "[cyan]▶[/]",
    StepStatus.DONE: "[green]✔[/]",
    StepStatus.SKIPPED: "[yellow]↷[/]",
    StepStatus.FAILED: "[red]✘[/]",
}


def incident_document(state: IncidentState, entries: Sequence[TimelineEntry] = ()) -> dict[str, Json]:
    """An incident as JSON; with its timeline if entries are given."""
    document: dict[str, Json] = {
        "id": state.id,
        "emergency": state.emergency,
        "title": state.title,
        "severity": state.severity,
        "state": state.status,
        "key": state.key,
        "declared_at": state.declared_at.isoformat(),
        "acknowledged_at": state.acknowledged_at.isoformat() if state.acknowledged_at else None,
        "mitigated_at": state.mitigated_at.isoformat() if state.mitigated_at else None,
        "resolved_at": state.resolved_at.isoformat() if state.resolved_at else None,
        "roles": dict(state.roles),
        "runbook": state.runbook_hash,
        "breaches": [
            {"kind": b.kind, "reference": b.reference, "due_at": b.due_at.isoformat()} for b in state.breaches
        ],
        "steps": [step_document(step) for step in state.steps],
    }
    if entries:
        document["timeline"] = [
            {"at": e.at.isoformat(), "by": e.author, "text": e.sentence, "height": e.height} for e in entries
        ]
    return document


def step_document(step: StepState) -> dict[str, Json]:
    """A step of a procedure as JSON."""
    elapsed = step.finished_at - step.started_at if step.finished_at and step.started_at else None
    return {
        "number": step.number,
        "title": step.title,
        "status": step.status,
        "budget_s": step.budget.most.total_seconds() if step.budget else None,
        "elapsed_s": elapsed.total_seconds() if elapsed else None,
        "reason": step.reason,
        "items": [{"text": i.text, "ticked_by": i.tick.by if i.tick else None} for i in step.items],
        "runs": [run_document(run) for choice in step.choices for run in choice.runs],
    }


def run_document(run: RunState) -> dict[str, Json]:
    """A run of an action as JSON."""
    quorum = run.verification.quorum if run.verification else None
    return {
        "id": run.id,
        "action": run.plan.action if run.plan else None,
        "plan": run.plan.summary if run.plan else None,
        "plan_hash": run.plan.hash if run.plan else None,
        "call": call_document(run.plan.inputs) if run.plan else None,
        "status": run.status,
        "tx": run.tx,
        "height": run.height,
        "quorum": {"needed": quorum.needed, "confirmed": quorum.confirmed, "of": quorum.of} if quorum else None,
        "effect_probe": run.verification.effect_probe if run.verification else None,
        "error": dict(run.error) if run.error else None,
    }


def call_document(inputs: Mapping[str, Json]) -> Json:
    """The contract call of a plan as JSON; the inputs as they are where there is none."""
    call = planned_call(inputs)
    return dict(inputs) if call is None else call.as_json()


def waiting_document(
    state: IncidentState, waiting: Sequence[Waiting], copyable: Callable[[str], str]
) -> dict[str, Json]:
    """What waits for people in an incident, as JSON. `copyable` makes command lines complete."""
    return {
        "incident": state.id,
        "severity": state.severity,
        "title": state.title,
        "waiting": [
            {
                "kind": w.kind,
                "what": w.sentence,
                "command": copyable(w.command),
                "step": w.step,
                "choice": w.choice,
                "item": w.item,
                "run": w.run,
                "plan_hash": w.plan_hash,
                "call": call_document(w.plan_inputs) if w.plan_inputs is not None else None,
                "due_at": w.due_at.isoformat() if w.due_at else None,
            }
            for w in waiting
        ],
    }


def print_incidents(states: Sequence[IncidentState]) -> None:
    """A table of incidents that fits into 80 columns."""
    if not states:
        out.print("There are no incidents.")
        return
    table = Table("Incident", "Sev", "Emergency", "State", "Declared", box=None, pad_edge=False)
    for s in states:
        table.add_row(s.id, s.severity, escape(s.title), s.status, minute(s.declared_at))
    out.print(table)


def print_incident(state: IncidentState, entries: Sequence[TimelineEntry]) -> None:
    """An incident: where it stands, its steps, the timeline."""
    out.print(f"[bold]{state.id}[/]  [bold red]{state.severity}[/]  {escape(state.title)}  [bold]{state.status}[/]")
    roles = ", ".join(f"{role} {person}" for role, person in state.roles.items())
    out.print(f"declared {moment(state.declared_at)}" + (f"  ·  {escape(roles)}" if roles else ""))
    for breach in state.breaches:
        out.print(f"[red]missed[/] {breach.kind} {breach.reference} (due {moment(breach.due_at)})")
    out.print()
    for step in state.steps:
        _print_step(step)
    day = None
    for entry in entries:
        if entry.at.date() != day:
            day = entry.at.date()
            out.print(f"\n[bold]{day:%Y-%m-%d}[/]")
        block = f" [dim](block {entry.height})[/]" if entry.height is not None else ""
        first = f"[dim]{clock_time(entry.at)}[/]  {escape(entry.author):<8}  "
        hanging(first, escape(entry.sentence) + block)


def print_waiting(
    found: Sequence[tuple[IncidentState, Sequence[Waiting]]], now: datetime, copyable: Callable[[str], str]
) -> None:
    """What waits for people, until when, and the command to type under each, which is never broken."""
    if not any(waiting for _, waiting in found):
        out.print("Nothing is waiting for you.")
    for state, waiting in found:
        if not waiting:
            continue
        out.print(f"[bold]{state.id}[/]  [bold red]{state.severity}[/]  {escape(state.title)}  ({state.status})")
        for number, item in enumerate(waiting, start=1):
            hanging(f"  {number}. ", escape(item.sentence) + (_due(item.due_at, now) if item.due_at else ""))
            if item.plan_inputs is not None:
                hanging("     exactly: ", escape(exactly(item.plan_inputs)))
            out.print(f"     [cyan]{escape(copyable(item.command))}[/]")


def _due(due_at: datetime, now: datetime) -> str:
    if due_at <= now:
        return f" [bold red]Was due at {due_at:%H:%M}Z.[/]"
    return f" [yellow]Due in {duration(_whole_seconds(due_at - now))}.[/]"


def _whole_seconds(value: timedelta) -> timedelta:
    return timedelta(seconds=round(value.total_seconds()))


def _print_step(step: StepState) -> None:
    budget = f" [dim](budget {duration(step.budget.most)})[/]" if step.budget else ""
    took = f"  {duration(step.finished_at - step.started_at)}" if step.finished_at and step.started_at else ""
    out.print(f"{_STEP_MARKS[step.status]} {step.number}. {escape(step.title)}{budget}{took}")
    for run in step.runs:
        _print_run(run)
    for number, item in enumerate(step.items):
        mark = "[green]✔[/]" if item.tick else "[dim]☐[/]"
        found = f" [dim]{escape(item.tick.by)}: {escape(item.tick.text)}[/]" if item.tick else ""
        hanging(f"     {mark} [dim]{number}[/] ", escape(item.text) + found)
    if step.reason:
        hanging("     ", f"[yellow]{step.status}: {escape(step.reason)}[/]")


def _print_run(run: RunState) -> None:
    color = {ActionStatus.VERIFIED: "green", ActionStatus.UNKNOWN: "red", ActionStatus.FAILED: "red"}
    shade = color.get(run.status, "yellow")
    what = run.plan.summary if run.plan else run.manual or ""
    hanging("     ", f"[{shade}]{run.status}[/] {escape(what)} [dim]{run.id}[/]")
    if run.tx:
        where = f" in block {run.height}" if run.height is not None else ""
        out.print(f"       transaction{where}\n       {run.tx}")  # on a line of its own, to be copied whole
    if run.verification:
        quorum = run.verification.quorum
        said = f" ({quorum.confirmed} of {quorum.of} providers, {quorum.needed} needed)" if quorum else ""
        hanging("       ", escape(run.verification.summary + said))
        if run.verification.effect_probe:
            hanging("       ", escape(run.verification.effect_probe))
    if run.error:
        hanging("       ", f"[red]{escape(run.error_message)}[/]")

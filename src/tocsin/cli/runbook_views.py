"""How the runbook looks as Tocsin has compiled it, and how a dry run went."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from tocsin.cli.output import duration, out
from tocsin.domain.canonical import Json
from tocsin.runbook.model import Command, Emergency, Runbook

if TYPE_CHECKING:
    from tocsin.respond.trial import Trial


def print_runbook(runbook: Runbook) -> None:
    """The whole document, one line an item."""
    out.print(f"[bold]{escape(runbook.title)}[/]  [dim]{escape(runbook.file)}, SHA-256 {runbook.hash[:12]}[/]")
    facts = (("version", runbook.version), ("updated", runbook.last_updated), ("next review", runbook.next_review))
    out.print("  ".join(f"{name} {value}" for name, value in facts if value))
    out.print("\n[bold]Severities[/]")
    for level in runbook.severities:
        examples = escape(", ".join(level.examples))
        out.print(
            f"  {level.severity} {level.name}: respond within {duration(level.respond_within)} [dim]{examples}[/]"
        )
    for time in runbook.announce_times:
        out.print(f"  {time.severity}: acknowledge and first message within {duration(time.within)}")
    out.print("\n[bold]Roles[/]")
    for role in runbook.roles:
        out.print(f"  {role.code} {role.name}: {escape(role.duty)}")
    if runbook.activation:
        out.print(f"  {escape(runbook.activation)}")
    for emergency in runbook.emergencies:
        out.print()
        print_emergency(emergency)
    out.print("\n[bold]Communication[/]")
    for channel in runbook.channels:
        out.print(f"  {'/'.join(channel.severities)}: {escape(channel.channel)}{' (paged)' if channel.paged else ''}")
    for audience in runbook.audiences:
        out.print(f"  {escape(audience.audience)}: {escape(audience.text)}")
    for template in runbook.templates:
        out.print(f"  template with slots {escape(', '.join(template.slots))} [dim]{template.position}[/]")
    _print_list("Recovery checklist", [i.text for i in runbook.recovery_checklist])
    _print_list("Backups", [f"{b.what}: {b.path}" for b in runbook.backup_locations])
    for title, commands in (("Restore", runbook.restore), ("Quick reference", runbook.quick_reference)):
        out.print(f"\n[bold]{title}[/]")
        for command in commands:
            _print_command(command, "  ")
    _print_list("Contacts", [f"{c.service}: {c.address} ({c.hours})" for c in runbook.contacts])
    _print_list("Changes", [f"{c.date} {c.version}: {c.changes}" for c in runbook.change_log])


def print_emergency(emergency: Emergency) -> None:
    """One emergency: symptoms, steps with budgets and commands, prevention."""
    slug = f"[dim]{emergency.slug}, {emergency.position}[/]"
    out.print(f"[bold red]{emergency.severity}[/] [bold]{escape(emergency.title)}[/]  {slug}")
    for symptom in emergency.symptoms:
        out.print(f"  [yellow]symptom[/] {escape(symptom.text)}")
    for step in emergency.steps:
        budget = f" [dim](budget {duration(step.budget.most)})[/]" if step.budget else ""
        condition = f" [yellow]({escape(step.condition)})[/]" if step.condition else ""
        out.print(f"  [bold]{step.number}. {escape(step.title)}[/]{budget}{condition}")
        for choice in step.choices:
            for number, command in enumerate(choice.alternatives):
                _print_command(command, "     " if number == 0 else "     [yellow]or[/] ")
        for item in step.items:
            out.print(f"     ☐ {escape(item.text)}")
    for title, items in (("prevention", emergency.prevention), ("after", emergency.post_incident)):
        for item in items:
            out.print(f"  [cyan]{title}[/] {escape(item.text)}")


def print_trial(trial: "Trial") -> None:
    """One command of a dry run."""
    where = f"[dim]{trial.command.position}[/]"
    if trial.plan is not None:
        out.print(f"[green]ready[/]    {where}  {escape(trial.plan.summary)}")
    elif trial.error is not None:
        out.print(f"[red]refused[/]  {where}  {escape(trial.command.text)}")
        out.print(f"         {escape(trial.error.message)}")
        if trial.error.next_step:
            out.print(f"         next: {escape(trial.error.next_step)}")
    else:
        out.print(f"[yellow]by hand[/]  {where}  {escape(trial.command.text)}\n         {escape(trial.manual or '')}")


def trial_document(trial: "Trial") -> dict[str, Json]:
    """One command of a dry run as JSON."""
    return {
        "step": trial.step.number,
        "command": trial.command.text,
        "file": trial.command.position.file,
        "line": trial.command.position.line,
        "plan": trial.plan.summary if trial.plan else None,
        "error": trial.error.as_json() if trial.error else None,
        "manual": trial.manual,
    }


def _print_command(command: Command, indent: str) -> None:
    does = f"[green]{command.call.action}[/]" if command.call else "[yellow]by hand[/]"
    out.print(f"{indent}{does} {escape(command.text)} [dim]{command.position}[/]")
    if command.manual:
        out.print(f"       [dim]{escape(command.manual)}[/]")


def _print_list(title: str, lines: Sequence[str]) -> None:
    out.print(f"\n[bold]{title}[/]")
    for line in lines:
        out.print(f"  {escape(line)}")

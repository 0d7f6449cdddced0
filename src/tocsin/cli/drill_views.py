"""How a drill looks: the story as it happens, and the scorecard at its end."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tocsin.cli.output import duration, out
from tocsin.domain.actions import ActionStatus
from tocsin.domain.amounts import Gas
from tocsin.drill.report import DrillReport, StepScore
from tocsin.drill.story import Voice
from tocsin.incident.state import StepStatus

_VOICES = {
    Voice.STAGE: "[dim]stage   [/]",
    Voice.ATTACKER: "[bold red]attacker[/]",
    Voice.TOCSIN: "[bold cyan]tocsin  [/]",
    Voice.PEOPLE: "[bold green]people  [/]",
    Voice.USERS: "[bold blue]users   [/]",
}


class StoryTeller:
    """A narrator on a terminal: sentences as they come, and below them what each of the two pots still holds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40, complete_style="green", finished_style="green"),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bars = {
            False: self._progress.add_task("without Tocsin", total=None, left="", visible=False),
            True: self._progress.add_task("with Tocsin   ", total=None, left="", visible=False),
        }

    def say(self, voice: Voice, sentence: str) -> None:
        passed = time.monotonic() - self._started
        self._progress.console.print(f"[dim]{passed:5.1f} s[/]  {_VOICES[voice]}  {escape(sentence)}")

    def pot(self, *, protected: bool, left: Gas, full: Gas) -> None:
        self._progress.update(
            self._bars[protected],
            total=full.fractions,
            completed=left.fractions,
            left=f"{left} of {full} GAS left",
            visible=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def print_scorecard(report: DrillReport) -> None:
    """The score of a drill: money, times, steps against their budgets, what was looked up afterwards, the verdict."""
    verdict = "[bold green]PASSED[/]" if report.passed else "[bold red]FAILED[/]"
    out.print()
    out.print(f"[bold]Drill {report.drill}[/]  {report.severity}  {verdict}")
    out.print()
    out.print(Group(_money(report), "", _steps(report), "", _checks(report)))
    out.print()
    for left in report.left_behind:
        out.print(f"[red]left behind[/]  {escape(left)}")
    if not report.left_behind:
        out.print(
            "Nothing was left behind: no process, no folder, no open incident, no transaction of unknown outcome."
        )


def _money(report: DrillReport) -> Table:
    times = report.times
    table = Table(box=None, show_header=False, pad_edge=False)
    if report.baseline_lost is not None:
        table.add_row("lost without Tocsin", f"[red]{report.baseline_lost} GAS[/]")
        table.add_row("lost with Tocsin", f"{report.lost} GAS")
        table.add_row("saved", f"[bold green]{report.saved} GAS[/]")
    for name, seconds in (
        ("declared", times.declared_s),
        ("acknowledged", times.acknowledged_s),
        ("mitigated", times.mitigated_s),
        ("resolved", times.resolved_s),
    ):
        said = "[red]never[/]" if seconds is None else f"{seconds:.1f} s after the attack's first transaction"
        table.add_row(name, said)
    return table


def _steps(report: DrillReport) -> Table:
    table = Table("Step", "Budget", "Took", "", box=None, pad_edge=False, title_justify="left")
    for number, step in enumerate(report.steps, start=1):
        budget = duration(step.budget) if step.budget else "none"
        took = duration(step.elapsed) if step.elapsed is not None else "not finished"
        table.add_row(f"{number}. {escape(step.title)}", budget, took, _verdict(step))
        for action in step.actions:
            quorum = action.quorum
            parts = [f"{action.action} {action.status}"]
            parts += [f"{quorum.confirmed} of {quorum.of} providers agree"] if quorum else []
            parts += [action.error] if action.error else []
            style = "dim" if action.status is not ActionStatus.FAILED else "red"
            table.add_row(f"   [{style}]{escape(', '.join(parts))}[/]")
            if action.effect_probe:
                table.add_row(f"   [dim]{escape(action.effect_probe)}[/]")
        if step.reason:
            table.add_row(f"   [dim]{escape(step.reason)}[/]")
    return table


def _verdict(step: StepScore) -> str:
    match step.status:
        case StepStatus.DONE:
            return "[green]done in time[/]" if step.within_budget else "[red]too late[/]"
        case StepStatus.SKIPPED:
            return "[yellow]skipped[/]"
        case StepStatus.FAILED:
            return "[red]failed[/]"
        case _:
            return "[red]open[/]"


def _checks(report: DrillReport) -> Table:
    table = Table("Looked up afterwards", "", box=None, pad_edge=False)
    for check in report.checks:
        table.add_row(
            f"{'[green]✔[/]' if check.ok else '[red]✘[/]'} {escape(check.name)}", f"[dim]{escape(check.detail)}[/]"
        )
    return table

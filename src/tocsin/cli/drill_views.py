"""How a drill looks: the story as it happens, and the scorecard at its end."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
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


_STEP_MARKS = {
    StepStatus.PENDING: "[red]☐[/]",
    StepStatus.ACTIVE: "[red]☐[/]",
    StepStatus.DONE: "[green]✔[/]",
    StepStatus.SKIPPED: "[yellow]↷[/]",
    StepStatus.FAILED: "[red]✘[/]",
}
_CHECKED = {True: "[green]✔[/]", False: "[red]✘[/]"}


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
    out.print(f"\n[bold]Drill {report.drill}[/]  {report.severity}  {verdict}\n")
    out.print(_money_and_times(report))
    out.print("\n[bold]The procedure against the runbook's budgets[/]")
    for number, step in enumerate(report.steps, start=1):
        _print_step(number, step)
    out.print("\n[bold]Looked up in the world afterwards[/]")
    for check in report.checks:
        out.print(f"{_CHECKED[check.ok]} {escape(check.name)}")
        out.print(f"    [dim]{escape(check.detail)}[/]")
    if report.left_behind:
        out.print("\n[bold red]Left behind[/]")
        for left in report.left_behind:
            out.print(f"[red]✘[/] {escape(left)}")
    else:
        out.print("\nNothing was left behind: no process, no folder, no open incident, no unsettled transaction.")


def _money_and_times(report: DrillReport) -> Table:
    times = report.times
    table = Table(box=None, show_header=False, pad_edge=False)
    if report.baseline_lost is not None:
        table.add_row("lost without Tocsin", f"[red]{report.baseline_lost} GAS[/]")
        table.add_row("lost with Tocsin", f"{report.lost} GAS")
        table.add_row("saved", f"[bold green]{report.saved} GAS[/]")
    for name, seconds in (
        ("detected", times.detected_s),
        ("acknowledged", times.acknowledged_s),
        ("mitigated, verified", times.mitigated_s),
        ("resolved", times.resolved_s),
    ):
        said = "[red]never[/]" if seconds is None else f"{seconds:.1f} s after the attack's first transaction"
        table.add_row(name, said)
    return table


def _print_step(number: int, step: StepScore) -> None:
    budget = f"of {duration(step.budget)}" if step.budget else "no budget"
    took = f"{duration(step.elapsed)} {budget}" if step.elapsed is not None else f"not finished, {budget}"
    late = "" if step.elapsed is None or step.within_budget else " [red]too late[/]"
    out.print(f"{_STEP_MARKS[step.status]} {number}. {escape(step.title)}: {took}{late}")
    for action in step.actions:
        quorum = action.quorum
        agreed = f", {quorum.confirmed} of {quorum.of} providers agree" if quorum else ""
        style = "green" if action.status is ActionStatus.VERIFIED else "dim"
        out.print(f"    [{style}]{action.action} {action.status}{agreed}[/]")
        for detail in (action.tx, action.effect_probe, action.error):
            if detail:
                out.print(f"    [dim]{escape(detail)}[/]")
    if step.reason:
        out.print(f"    [dim]{escape(step.reason)}[/]")

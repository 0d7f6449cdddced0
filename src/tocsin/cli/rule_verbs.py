"""`tocsin rules show|test` and `tocsin backtest`: what the rules are, and what they make of made-up or past blocks."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import Options
from tocsin.cli.output import EXIT_DID_NOT_HOLD, EXIT_DONE, err, print_json
from tocsin.domain.errors import ConfigurationInvalid, Refused

if TYPE_CHECKING:
    from tocsin.detect.backtest import BacktestReport, KnownIncident
    from tocsin.detect.rules import OutflowRule
    from tocsin.settings import Settings

type RulesFileOption = Annotated[Path | None, Parameter(name="--rules")]
"""A file of rules in place of the configured ones."""

rules = App(name="rules", help="Show the rules, or try them on made-up blocks.")


@rules.command
def show(*, rules: RulesFileOption = None, options: Options | None = None) -> None:
    """Print the rules with their conditions, the variables that they may use, and their windows."""
    from tocsin.cli.rule_views import print_rules, rules_document

    options = options or Options()
    _, compiled = _compiled(options, rules)
    if options.json:
        print_json(rules_document(compiled))
    else:
        print_rules(compiled)


@rules.command(name="test")
def try_cases(file: Path, /, *, rules: RulesFileOption = None, options: Options | None = None) -> int:
    """Try the rules on the cases of a file. Exit code 1 if one fails, with the reason.

    Parameters
    ----------
    file: A TOML file of cases: blocks of transfers, and what is expected to fire in them.
    """
    from tocsin.cli.rule_views import cases_document, print_cases
    from tocsin.detect.cases import run_case
    from tocsin.rulebook import read_cases

    options = options or Options()
    settings, compiled = _compiled(options, rules)
    results = [run_case(compiled, case) for case in read_cases(settings, compiled, file)]
    if options.json:
        print_json(cases_document(results))
    else:
        print_cases(results)
    return EXIT_DONE if all(result.holds for result in results) else EXIT_DID_NOT_HOLD


def backtest(
    *,
    from_: Annotated[int, Parameter(name="--from")],
    to: Annotated[int | None, Parameter(name="--to")] = None,
    rules: RulesFileOption = None,
    known: Annotated[Path | None, Parameter(name="--known")] = None,
    plot: Annotated[Path | None, Parameter(name="--plot")] = None,
    options: Options | None = None,
) -> int:
    """Run the rules over past blocks, and print what would have fired. Nothing is sent, and nobody is told.

    With --known, exit code 1 if something fired that is not in the list, or something in the list was missed.

    Parameters
    ----------
    from_: The first block.
    to: The last block (default: the newest).
    known: A TOML or JSON file of known incidents, to count false positives.
    plot: Where to draw the outflow of each contract, with thresholds and what fired, as SVG.
    """
    from tocsin.cli.backtest_plot import backtest_svg
    from tocsin.cli.backtest_views import backtest_document, print_backtest
    from tocsin.rulebook import read_known

    options = options or Options()
    settings, compiled = _compiled(options, rules)
    if not compiled:
        raise ConfigurationInvalid("no-rules", "there are no rules to run", next_step="add [[rules]], or name --rules")
    incidents = None if known is None else read_known(settings, known)
    if plot is not None:
        _writable(plot)
    report = asyncio.run(_run(settings, compiled, from_, to, incidents))
    if plot is not None:
        plot.write_text(backtest_svg(report, compiled), encoding="utf-8")
    if options.json:
        print_json(backtest_document(report, compiled, plot))
    else:
        print_backtest(report, plot)
    return EXIT_DID_NOT_HOLD if known is not None and (report.false_positives or report.missed) else EXIT_DONE


async def _run(
    settings: "Settings",
    rules: "Sequence[OutflowRule]",
    first: int,
    last: int | None,
    known: "Sequence[KnownIncident] | None",
) -> "BacktestReport":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from tocsin.detect.backtest import Backtest
    from tocsin.platform import open_platform
    from tocsin.respond.trial import NoOutbox

    async with open_platform(settings, NoOutbox()) as chain:
        newest = await chain.reader.height()
        last = newest if last is None else last
        if not 0 <= first <= last <= newest:
            raise Refused(
                "blocks-impossible",
                f"there are no blocks {first} to {last}: the chain has blocks 0 to {newest}",
                next_step="choose --from and --to among them",
            )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as progress:
            bar = progress.add_task("blocks", total=last - first + 1)
            backtest = Backtest(
                rules,
                chain.history,
                chain.history,
                chain.reader,
                on_block=lambda height: progress.update(bar, completed=height - first + 1),
            )
            return await backtest.run(first, last, known)


def _compiled(options: Options, file: Path | None) -> "tuple[Settings, Sequence[OutflowRule]]":
    from tocsin.rulebook import outflow_rules, with_rules_of

    settings = options.settings()
    settings = settings if file is None else with_rules_of(settings, file)
    return settings, outflow_rules(settings)


def _writable(plot: Path) -> None:
    """Says before the work, not after it, that there is no place for its result."""
    if plot.is_dir() or not plot.parent.is_dir():
        raise ConfigurationInvalid(
            "file-not-writable", f"{plot} can't be written", next_step="name a file in a folder that exists"
        )

"""What `tocsin backtest` prints: what would have fired, beside what is known."""

from collections.abc import Sequence
from pathlib import Path

from tocsin.cli.output import minute, out
from tocsin.detect.backtest import BacktestReport, Curve, Firing, KnownIncident
from tocsin.detect.balances import BalanceSource
from tocsin.detect.rules import OutflowRule
from tocsin.domain.canonical import Json

RECONSTRUCTED = (
    "Balances were reconstructed from transfers, since no endpoint keeps old states; fees that a contract paid as a "
    "sender are not in them."
)
CUT_SHORT = (
    "The windows began emptier than they would have been: the blocks before the first did not reach back far enough."
)


def backtest_document(report: BacktestReport, rules: Sequence[OutflowRule], plot: Path | None) -> Json:
    """The report as JSON. Amounts are GAS as decimal texts."""
    return {
        "from": report.first,
        "to": report.last,
        "blocks": report.blocks,
        "transactions": report.transactions,
        "movements": report.movements,
        "rules": [rule.name for rule in rules],
        "balances": report.balances,
        "warm_up_complete": report.warm_up_complete,
        "detections": report.detections,
        "firings": [_firing(firing) for firing in report.firings],
        "known": None if report.known is None else [_known(known) for known in report.known],
        "false_positives": None if report.known is None else len(report.false_positives),
        "missed": [known.name for known in report.missed],
        "curves": [_curve(curve) for curve in report.curves],
        "plot": None if plot is None else str(plot),
    }


def print_backtest(report: BacktestReport, plot: Path | None) -> None:
    """The report for people."""
    out.print(
        f"Blocks {report.first} to {report.last} ({minute(report.first_at)} to {minute(report.last_at)}): "
        f"{report.transactions} transactions, {report.movements} movements of GAS out of watched contracts.",
        markup=False,
    )
    for note in _notes(report):
        out.print(note, markup=False)
    for firing in report.firings:
        _print_firing(firing, judged=report.known is not None)
    if not report.firings:
        out.print("Nothing would have fired.")
    if report.known is not None:
        out.print(
            f"{len(report.firings)} firing(s), {len(report.false_positives)} of them false positives; "
            f"{len(report.known) - len(report.missed)} of {len(report.known)} known incidents noticed.",
            markup=False,
        )
        for known in report.missed:
            out.print(f"  missed  {known.name} (blocks {known.first} to {known.last})", markup=False)
    if plot is not None:
        out.print(f"{plot} shows the outflow.", markup=False)


def _notes(report: BacktestReport) -> Sequence[str]:
    return [
        *([RECONSTRUCTED] if report.balances is BalanceSource.RECONSTRUCTED else []),
        *([] if report.warm_up_complete else [CUT_SHORT]),
    ]


def _print_firing(firing: Firing, *, judged: bool) -> None:
    blocks = f"block {firing.first}" if firing.first == firing.last else f"blocks {firing.first} to {firing.last}"
    verdict = ""
    if judged:
        verdict = "[bold red]false positive[/]  " if firing.known is None else "[green]known[/]  "
    out.print(f"{verdict}[bold]{firing.emergency}[/] over {firing.contract_name}, {blocks}")
    if firing.known is not None:
        out.print(f"  known as {firing.known}", markup=False)
    out.print(
        f"  {firing.amount} GAS in {firing.detections} detection(s) of {', '.join(firing.rules)}; "
        f"at most {firing.sum_max} GAS within the window",
        markup=False,
    )
    out.print(f"  first: {firing.summary}", markup=False)


def _firing(firing: Firing) -> Json:
    return {
        "key": firing.key,
        "emergency": firing.emergency,
        "rules": list(firing.rules),
        "contract": firing.contract_name,
        "contract_hash": firing.contract,
        "first": firing.first,
        "last": firing.last,
        "first_at": firing.first_at.isoformat(),
        "last_at": firing.last_at.isoformat(),
        "detections": firing.detections,
        "amount": str(firing.amount),
        "sum_max": str(firing.sum_max),
        "summary": firing.summary,
        "known": firing.known,
    }


def _known(known: KnownIncident) -> Json:
    return {
        "name": known.name,
        "from": known.first,
        "to": known.last,
        "emergency": known.emergency,
        "contract_hash": known.contract,
    }


def _curve(curve: Curve) -> Json:
    return {
        "contract": curve.contract_name,
        "contract_hash": curve.contract,
        "first": curve.first,
        "blocks_a_point": curve.blocks_a_point,
        "outflow": [str(amount) for amount in curve.outflow],
        "sum_max": [str(amount) for amount in curve.sum_max],
    }

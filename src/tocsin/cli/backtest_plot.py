"""Draws a backtest as SVG: for each contract what left it, block by block, with thresholds and what fired.

One panel a contract: bars are the outflow of each point, the line is the most that had left within a rule's window,
dashed lines are the amounts that conditions compare sums with, shaded spans are firings. Plain shapes and text, so that
any browser shows it and any editor changes it.
"""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from tocsin.detect.backtest import BacktestReport, Curve, Firing
from tocsin.detect.rules import OutflowRule
from tocsin.domain.amounts import GAS_DECIMALS, Gas

WIDTH = 960
PANEL_HEIGHT = 220
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 46, 34
LEGEND = "bars: GAS that left; line: most that had left within the window; dashed: thresholds; red: fired; green: known"
_PLOT_WIDTH = WIDTH - LEFT - RIGHT
_PLOT_HEIGHT = PANEL_HEIGHT - TOP - BOTTOM
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}.bar{fill:#7aa6c2}"
    ".sum{fill:none;stroke:#1f4e79;stroke-width:1.5}.threshold{stroke:#b4540a;stroke-dasharray:6 4}"
    ".threshold-text{fill:#b4540a}.fired{fill:#d33;fill-opacity:.18}.known{fill:#2a8a4a;fill-opacity:.18}"
    ".mark{stroke:#d33;stroke-width:2}.axis{stroke:#888}.far{fill:#777}"
)


def backtest_svg(report: BacktestReport, rules: Sequence[OutflowRule]) -> str:
    """The drawing, as the text of an SVG file."""
    height = 30 + PANEL_HEIGHT * len(report.curves)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>Backtest of blocks {report.first} to {report.last}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20">{escape(LEGEND)}</text>',
    ]
    for number, curve in enumerate(report.curves):
        firings = [firing for firing in report.firings if firing.contract == curve.contract]
        lines.append(f'<g transform="translate(0 {30 + PANEL_HEIGHT * number})">')
        lines += _panel(curve, firings, _thresholds(rules, curve), report)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def _thresholds(rules: Sequence[OutflowRule], curve: Curve) -> Sequence[tuple[str, Gas]]:
    """What conditions compare amounts that left this contract with; one line an amount."""
    found: dict[Gas, list[str]] = {}
    for rule in rules:
        if curve.contract in rule.contracts:
            for threshold in rule.condition.thresholds:
                if threshold.variable in {"sum", "amount"} or threshold.variable.endswith(".sum"):
                    amount = Gas(int(threshold.amount.scaleb(GAS_DECIMALS)))
                    found.setdefault(amount, []).append(f"{rule.name}: {threshold.variable}")
    return [(f"{', '.join(names)} {amount}", amount) for amount, names in sorted(found.items())]


def _panel(
    curve: Curve, firings: Sequence[Firing], thresholds: Sequence[tuple[str, Gas]], report: BacktestReport
) -> Iterator[str]:
    highest = max([Gas(1), *curve.outflow, *curve.sum_max])
    # A threshold far above everything that happened is told and not drawn: it would press all else flat.
    near = [(text, amount) for text, amount in thresholds if amount.fractions <= 3 * highest.fractions]
    far = [text for text, amount in thresholds if amount.fractions > 3 * highest.fractions]
    top = max([highest, *(amount for _, amount in near)])
    step = _PLOT_WIDTH / len(curve.outflow)

    def y(amount: Gas) -> float:
        return TOP + _PLOT_HEIGHT * (1 - amount.fractions / (1.05 * top.fractions))

    def x(block: int) -> float:
        return LEFT + step * (block - curve.first) / curve.blocks_a_point

    yield f'<text class="title" x="{LEFT}" y="{TOP - 24}">{escape(curve.contract_name)}</text>'
    if far:
        yield f'<text class="far" x="{LEFT}" y="{TOP - 8}">far above: {escape("; ".join(far))}</text>'
    for firing in firings:
        left, right = x(firing.first), max(x(firing.last + 1), x(firing.first) + 2)
        style = "fired" if firing.known is None else "known"
        shape = f'x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{_PLOT_HEIGHT}"'
        yield f'<rect class="{style}" {shape}><title>{escape(_words(firing))}</title></rect>'
        yield f'<line class="mark" x1="{left:.1f}" x2="{left:.1f}" y1="{TOP - 4}" y2="{TOP + 6}"/>'
    for point, amount in enumerate(curve.outflow):
        if amount > Gas(0):
            left, edge = LEFT + step * point, y(amount)
            size = f'width="{max(1.0, step * 0.9):.1f}" height="{TOP + _PLOT_HEIGHT - edge:.1f}"'
            yield f'<rect class="bar" x="{left:.1f}" y="{edge:.1f}" {size}/>'
    points = " ".join(
        f"{LEFT + step * (point + 0.5):.1f},{y(amount):.1f}"
        for point, amount in enumerate(curve.sum_max)
        if amount > Gas(0)
    )
    yield f'<polyline class="sum" points="{points}"/>'
    for text, amount in near:
        edge = f"{y(amount):.1f}"
        yield f'<line class="threshold" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{edge}" y2="{edge}"/>'
        yield (
            f'<text class="threshold-text" x="{WIDTH - RIGHT}" y="{y(amount) - 4:.1f}" text-anchor="end">'
            f"{escape(text)} GAS</text>"
        )
    yield from _axes(curve, report, top, y(top))


def _axes(curve: Curve, report: BacktestReport, top: Gas, top_y: float) -> Iterator[str]:
    bottom = TOP + _PLOT_HEIGHT
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{bottom}"/>'
    yield f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">0</text>'
    yield f'<text x="{LEFT - 8}" y="{top_y + 4:.1f}" text-anchor="end">{top} GAS</text>'
    yield f'<text x="{LEFT}" y="{bottom + 18}">block {report.first}</text>'
    width = "1 block" if curve.blocks_a_point == 1 else f"{curve.blocks_a_point} blocks"
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 18}" text-anchor="middle">a bar: {width}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{bottom + 18}" text-anchor="end">block {report.last}</text>'


def _words(firing: Firing) -> str:
    known = "not known" if firing.known is None else f"known as {firing.known}"
    return f"{', '.join(firing.rules)}: blocks {firing.first} to {firing.last}, {firing.amount} GAS ({known})"

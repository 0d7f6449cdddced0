"""`python -m benchmarks [NAME …] [--rounds N] [--json FILE]`: runs benchmarks, prints tables, writes JSON.

A benchmark is a module beside this one with `async def measure(rounds: int | None) -> Report`, named in `BENCHMARKS`;
`rounds` is how often to repeat what it repeats, None for its own choice. Exit code 1 if a promise was not held.
"""

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from rich.console import Console

from benchmarks.report import Json, Report

BENCHMARKS: dict[str, str] = {
    "follower_memory": "memory of a serving Tocsin after 100,000 notifications",
    "backtest": "rules over past blocks, beside bare batches of getapplicationlog",
    "pause": "tocsin pause from the shell until the transaction is accepted",
    "reflex": "event of a theft in a pool until a pause is accepted, beside a bare script",
    "same_block": "share of real thefts that FAULT in their own block",
}
"""Module → what it measures."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, help="how often to repeat (default: each benchmark's own choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as JSON")
    arguments = parser.parse_args()
    names = cast(list[str], arguments.names) or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    console = Console(stderr=True)
    reports: list[Report] = []
    for name in names:
        console.print(f"[bold]{name}[/]: {BENCHMARKS[name]} …")
        module = importlib.import_module(f"benchmarks.{name}")
        measure = cast(Callable[[int | None], Awaitable[Report]], module.measure)
        reports.append(asyncio.run(_run(measure, arguments.rounds)))
        reports[-1].show(Console(width=None if sys.stdout.isatty() else 120))
    if arguments.json is not None:
        document: Json = {"machine": _machine(), "reports": [report.as_json() for report in reports]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if all(promise.held for report in reports for promise in report.promises) else 1


async def _run(measure: Callable[[int | None], Awaitable[Report]], rounds: int | None) -> Report:
    return await measure(rounds)


def _machine() -> Json:
    return {
        "cpus": os.cpu_count(),
        "load": list(os.getloadavg()),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


if __name__ == "__main__":
    sys.exit(main())

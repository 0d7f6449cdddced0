"""What a benchmark reports: named rows of measurements, as a table for people and as JSON for scripts."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

type Json = None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of one thing, in `unit`. `floor` names the row that it is compared with."""

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    floor: str | None = None

    def quantile(self, share: float) -> float:
        """The value that this share of the measurements does not exceed."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    def as_json(self) -> Mapping[str, Json]:
        return {
            "name": self.name,
            "unit": self.unit,
            "n": len(self.values),
            "min": min(self.values),
            "p50": statistics.median(self.values),
            "p95": self.quantile(0.95),
            "max": max(self.values),
            "floor": self.floor,
        }


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound that must hold, and whether it did in this run."""

    text: str
    held: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one benchmark. `notes` are sentences that a reader needs to judge it."""

    benchmark: str
    samples: tuple[Sample, ...]
    promises: tuple[Promise, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> Mapping[str, Json]:
        return {
            "benchmark": self.benchmark,
            "samples": [sample.as_json() for sample in self.samples],
            "promises": [{"promise": promise.text, "held": promise.held} for promise in self.promises],
            "notes": list(self.notes),
        }

    def show(self, console: Console) -> None:
        """Prints the table."""
        table = Table(title=self.benchmark, title_justify="left", box=None)
        for column in ("", "n", "min", "p50", "p95", "max", ""):
            table.add_column(column, justify="left" if column == "" else "right", no_wrap=True)
        medians = {sample.name: statistics.median(sample.values) for sample in self.samples}
        for sample in self.samples:
            row = sample.as_json()
            times = [f"{row[key]:.3f} {sample.unit}" for key in ("min", "p50", "p95", "max")]
            compared = f"{medians[sample.name] / medians[sample.floor]:.2f} x {sample.floor}" if sample.floor else ""
            table.add_row(sample.name, str(len(sample.values)), *times, compared)
        console.print(table)
        for promise in self.promises:
            console.print(f"{'held' if promise.held else '[red]not held[/]'}: {promise.text}")
        for note in self.notes:
            console.print(note, markup=False)

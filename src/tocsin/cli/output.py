"""What the command line prints: one JSON document alone on standard output with `--json`, else text for people.

Progress, warnings and errors go to standard error, so that output can be piped.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tocsin.domain.canonical import Json
from tocsin.domain.errors import (
    ConfigurationInvalid,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)

EXIT_DONE = 0
EXIT_DID_NOT_HOLD = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_UNKNOWN = 4
EXIT_UNCONFIRMED = 5
EXIT_INTERRUPTED = 130

if TYPE_CHECKING:
    from rich.console import Console

    out: Console
    err: Console


def __getattr__(name: str) -> "Console":
    """`out` and `err`, made when one is first asked for: rich takes a tenth of a second that a pause does not have."""
    if name not in ("out", "err"):
        raise AttributeError(name)
    return _console(name)


def _console(name: str) -> "Console":
    from rich.console import Console

    made = globals().get(name)
    if made is None:
        made = globals()[name] = Console(stderr=name == "err", highlight=False, soft_wrap=True)
    return made


def print_json(document: Json) -> None:
    """The one JSON document of a command."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def log_to_standard_error(*, warnings_only: bool = False) -> None:
    """Sends log lines, of which structlog would make output, where they don't disturb a JSON document."""
    import structlog

    if warnings_only:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))

    # Tracebacks without the values of variables: those are plans, signatures and whatever else was at hand.
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*structlog.get_config()["processors"][:-1], renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def print_error(error: TocsinError, *, as_json: bool) -> None:
    """What happened, whether anything changed, what to do next."""
    if as_json:
        print_json({"error": error.as_json()})
    err = _console("err")
    # A narrower error stands under the heading of what it is a kind of.
    heading = next((heading for kind, heading in _HEADINGS.items() if isinstance(error, kind)), "Failed")
    err.print(f"[bold red]{heading}:[/] ", end="")
    err.print(error.message, markup=False)
    file, line = error.data.get("file"), error.data.get("line")
    if isinstance(file, str) and isinstance(line, int):
        err.print(f"  at    {file}:{line}", markup=False)
    if error.next_step:
        err.print(f"  next  {error.next_step}", markup=False)


def print_interrupted(*, as_json: bool) -> None:
    """Somebody pressed Ctrl-C."""
    message = "interrupted; what was recorded until then stands"
    if as_json:
        print_json({"error": {"kind": "interrupted", "code": "interrupted", "message": message}})
    _console("err").print(message)


def exit_code(error: TocsinError) -> int:
    """The exit code that tells scripts what kind of error it was."""
    match error:
        case ConfigurationInvalid():
            return EXIT_USAGE
        case Refused() | Unavailable():
            return EXIT_REFUSED
        case OutcomeUnknown(code="unconfirmed"):
            return EXIT_UNCONFIRMED
        case OutcomeUnknown() | Partial() | NeedsOperator():
            return EXIT_UNKNOWN
        case _:
            return EXIT_DID_NOT_HOLD


_HEADINGS: Mapping[type[TocsinError], str] = {
    ConfigurationInvalid: "Not usable, nothing was tried",
    Refused: "Refused, nothing changed",
    Unavailable: "Not available, nothing changed",
    OutcomeUnknown: "Outcome unknown, it may have taken effect",
    Partial: "Done in part",
    NeedsOperator: "A person must look",
}


def duration(value: timedelta) -> str:
    """A duration as people say it: "5 min", "1 h 30 min", "0.8 s"."""
    seconds = value.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


def hanging(first: str, text: str) -> None:
    """Prints text whose further lines stand under its first, on a terminal. Elsewhere one line, for whoever filters."""
    from rich.table import Table

    out = _console("out")
    if not out.is_terminal:
        out.print(first + text)
        return
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(first, text)
    out.print(grid, soft_wrap=False)


def minute(value: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{value:%Y-%m-%d %H:%M}Z"


def clock_time(value: datetime) -> str:
    """The time of day in UTC, to the millisecond."""
    return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}Z"


def moment(value: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return f"{value:%Y-%m-%d} {clock_time(value)}"

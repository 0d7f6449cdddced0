"""The page of the errors, from the sources and the error classes."""

import inspect
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pages.error_codes import Raised, collect
from pages.text import table
from tocsin.cli.output import exit_code
from tocsin.domain.errors import (
    ConfigurationInvalid,
    Failed,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)

_KINDS = (ConfigurationInvalid, Refused, Unavailable, Failed, Partial, OutcomeUnknown, NeedsOperator)
_MESSAGES_SHOWN_MAX = 3


def errors(package: Path) -> Iterator[str]:
    """The lines of the page, for the sources in `package`."""
    yield "Sorted by the one question that matters in an emergency: did anything change? With `--json` an error is"
    yield '`{"error": {"kind", "code", "message", "next_step", "data"}}`. Codes are stable; messages are for people and'
    yield "may change. A run's outcome in the event log carries the same object."
    found = collect(package)
    for kind in _KINDS:
        yield from ("", f"## {kind.__name__} (`{kind.kind}`)", "")
        yield from (inspect.getdoc(kind) or "").splitlines()
        yield f"Exit code {exit_code(kind('any', ''))}{_exception_to_it(kind)}."
        yield ""
        raised = [each for each in found if each.kind == kind.__name__]
        if not raised:
            yield "Nothing raises it yet."
            continue
        yield from table(
            ("code", "message", "raised in"),
            [_row(code, list(group)) for code, group in groupby(raised, key=lambda each: each.code)],
        )


def _exception_to_it(kind: type[TocsinError]) -> str:
    return f", with the code `unconfirmed` {exit_code(kind('unconfirmed', ''))}" if kind is OutcomeUnknown else ""


def _row(code: str, raised: Sequence[Raised]) -> tuple[str, str, str]:
    messages = list(dict.fromkeys(each.message for each in raised if each.message))
    if len(messages) > _MESSAGES_SHOWN_MAX:
        messages = [*messages[:_MESSAGES_SHOWN_MAX], "…"]
    places = sorted({f"`{each.where}`" for each in raised})
    return f"`{code}`", "<br>".join(messages), "<br>".join(places)

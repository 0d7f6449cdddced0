"""Severities: their codes, and the table that says how soon people respond to each."""

import re
from collections.abc import Iterable

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.blocks import Text
from tocsin.runbook.document import Document
from tocsin.runbook.durations import time_span
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import Budget, Severity, SeverityLevel
from tocsin.runbook.tables import read_rows

TITLES = frozenset({"severity levels", "severities", "severity"})

_CODE = re.compile(r"(?:P|SEV[- ]?)(?P<number>[0-9])", re.IGNORECASE)
_BETWEEN_EXAMPLES = re.compile(r"[,;]\s+(?![^()]*\))")
_BETWEEN_NAMES = re.compile(r"\s*(?:/|,|&|\band\b)\s*", re.IGNORECASE)
_COLUMNS = {
    "level": ("level", "severity"),
    "name": ("name",),
    "respond": ("response time", "respond within"),
    "examples": ("examples", "example"),
}


def severity_of(code: str) -> Severity | None:
    """The severity with this code ("P0", "SEV0"), or None."""
    match = _CODE.fullmatch(code.strip())
    return Severity(f"P{match['number']}") if match and match["number"] in "0123" else None


def read_severities(document: Document) -> tuple[SeverityLevel, ...]:
    """The severity table.

    Raises:
        ConfigurationInvalid: a row that is not understood, or a severity that is defined twice.
    """
    levels: dict[Severity, SeverityLevel] = {}
    for section in document.claim(TITLES):
        for row in read_rows(document, section.blocks, _COLUMNS):
            level = row["level"]
            severity = severity_of(level.text)
            if severity is None:
                raise invalid(level.position, f"{level.text!r} is no severity", "write P0 to P3 (or SEV0 to SEV3)")
            if severity in levels:
                raise invalid(level.position, f"severity {severity} is defined a second time", "keep one of the rows")
            examples = tuple(part for part in _BETWEEN_EXAMPLES.split(row["examples"].text) if part)
            respond_within = read_time(row["respond"]).most
            levels[severity] = SeverityLevel(severity, row["name"].text, respond_within, examples, level.position)
    return tuple(levels.values())


def read_time(text: Text, part: str | None = None) -> Budget:
    """The time that a text, or a part of it, says.

    Raises:
        ConfigurationInvalid: it says none.
    """
    try:
        return time_span(text.text if part is None else part)
    except ValueError as error:
        raise invalid(text.position, str(error), "write a time such as “15 minutes” or “1-4 hours”") from error


def severities_named(names: str, levels: Iterable[SeverityLevel], position: SourcePosition) -> tuple[Severity, ...]:
    """The severities in a text such as "P2/P3" or "Medium/Low" (by the names of the severity table).

    Raises:
        ConfigurationInvalid: a name that is neither.
    """
    by_name = {level.name.casefold(): level.severity for level in levels}
    severities: dict[Severity, None] = {}
    for name in _BETWEEN_NAMES.split(names.strip()):
        severity = severity_of(name) or by_name.get(name.casefold())
        if severity is None:
            known = ", ".join((*by_name, *Severity))
            raise invalid(position, f"{name!r} is no severity of this runbook", f"write one of {known}")
        severities[severity] = None
    return tuple(severities)

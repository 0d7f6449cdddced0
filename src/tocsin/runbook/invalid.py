"""The one way in which this room refuses a document: where, what is wrong, and how to mend it."""

from tocsin.domain.actions import SourcePosition
from tocsin.domain.errors import ConfigurationInvalid


def invalid(position: SourcePosition, wrong: str, mend: str) -> ConfigurationInvalid:
    """The error for something at `position` that can't be compiled; to be raised by the caller."""
    return ConfigurationInvalid(
        "runbook-invalid",
        f"{position.file}:{position.line}:{position.column}: {wrong}",
        next_step=mend,
        data={"file": position.file, "line": position.line, "column": position.column},
    )

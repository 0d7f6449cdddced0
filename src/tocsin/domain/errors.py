"""Errors, sorted by the one question that matters in an emergency: did anything change?

Every error carries a stable code (for scripts and `--json`), a message that says what happened, the operator's next
step, and data that survives serialisation. Adapters raise these from the vendor's own errors.
"""

from collections.abc import Mapping
from typing import ClassVar

from tocsin.domain.canonical import Json


class TocsinError(Exception):
    """The base of all errors that Tocsin raises on purpose.

    Attributes:
        code: stable, kebab-case; narrower than the class.
        next_step: what the operator should do now; empty if the message says it.
        data: serialisable facts, without secrets.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, code: str, message: str, *, next_step: str = "", data: Mapping[str, Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.data: dict[str, Json] = dict(data or {})

    def __str__(self) -> str:
        return f"{self.message}. Next: {self.next_step}" if self.next_step else self.message

    def as_json(self) -> dict[str, Json]:
        """The error as a JSON object: kind, code, message, next_step, data."""
        return {
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
            "next_step": self.next_step,
            "data": self.data,
        }


class ConfigurationInvalid(TocsinError):
    """The configuration, the runbook or the command line can't be used; nothing was tried."""

    kind = "configuration"


class Unavailable(TocsinError):
    """A read found no (or not enough) sources that answered; nothing changed."""

    kind = "unavailable"


class Refused(TocsinError):
    """Tocsin or the platform said no before anything was sent; nothing changed."""

    kind = "refused"


class Failed(TocsinError):
    """It was tried and is known not to have taken effect."""

    kind = "failed"


class Partial(TocsinError):
    """It took effect on some targets and not on others; `data` says which."""

    kind = "partial"


class OutcomeUnknown(TocsinError):
    """It may have taken effect: reconcile it, never retry blindly."""

    kind = "unknown"


class NeedsOperator(TocsinError):
    """Even the compensation failed; a person must look."""

    kind = "needs-operator"

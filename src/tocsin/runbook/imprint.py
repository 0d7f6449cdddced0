"""The document's word about itself: purpose, contacts, version, review dates and change log."""

import re
from datetime import date

from tocsin.runbook.blocks import Text
from tocsin.runbook.document import Document
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import Change, Contact
from tocsin.runbook.tables import read_rows

PURPOSE = frozenset({"purpose"})
CONTENTS = frozenset({"table of contents", "contents"})
CONTACTS = frozenset({"emergency contacts", "contacts"})
VERSION = frozenset({"document version"})
LAST_UPDATED = frozenset({"last updated"})
NEXT_REVIEW = frozenset({"next review"})
CHANGE_LOG = frozenset({"change log", "changelog"})

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_DATE = frozenset({"", "-", "\u2013", "\u2014", "tbd", "unreleased"})
_CONTACT = {
    "service": ("service", "team"),
    "contact": ("contact",),
    "hours": ("on call", "hours"),
}
_CHANGE = {"date": ("date",), "version": ("version",), "changes": ("changes", "change")}


def read_purpose(document: Document) -> str:
    """What the document is for, its paragraphs apart by blank lines; empty if it does not say."""
    texts = [text.text for section in document.claim(PURPOSE) for text in document.texts(section.blocks)]
    return "\n\n".join(texts)


def read_contacts(document: Document) -> tuple[Contact, ...]:
    """Whom to reach, and when."""
    return tuple(
        Contact(row["service"].text, row["contact"].text, row["hours"].text, row["service"].position)
        for section in document.claim(CONTACTS)
        for row in read_rows(document, section.blocks, _CONTACT)
    )


def read_version(document: Document) -> str | None:
    """The version that the document gives itself."""
    text = _one(document, VERSION)
    return text.text if text else None


def read_date(document: Document, titles: frozenset[str]) -> date | None:
    """The date under one of these titles.

    Raises:
        ConfigurationInvalid: it is no date.
    """
    text = _one(document, titles)
    return _date(text) if text else None


def read_change_log(document: Document) -> tuple[Change, ...]:
    """The change log, in the order of the document.

    Raises:
        ConfigurationInvalid: a date that is none.
    """
    return tuple(
        Change(_date(row["date"]), row["version"].text, row["changes"].text, row["date"].position)
        for section in document.claim(CHANGE_LOG)
        for row in read_rows(document, section.blocks, _CHANGE)
    )


def _one(document: Document, titles: frozenset[str]) -> Text | None:
    texts = [text for section in document.claim(titles) for text in document.texts(section.blocks)]
    document.leave(texts[1:])
    return texts[0] if texts else None


def _date(text: Text) -> date | None:
    if text.text.casefold() in _NO_DATE:
        return None
    try:
        if _DATE.fullmatch(text.text):
            return date.fromisoformat(text.text)
    except ValueError:
        pass
    raise invalid(text.position, f"{text.text!r} is no date", "write it as 2025-01-23")

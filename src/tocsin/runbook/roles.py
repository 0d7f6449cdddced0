"""The roles of the incident command system, and when it is activated."""

import re

from tocsin.runbook.document import Document
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import RoleDefinition

ROLES = frozenset({"roles", "incident roles"})
ACTIVATION = frozenset({"activation"})

_ROLE = re.compile(r"(?P<name>[^()]+?)\s*\((?P<code>[A-Z][A-Z0-9]{0,7})\)\s*(?:[:\u2013\u2014-]\s*)?(?P<duty>.*)")


def read_roles(document: Document) -> tuple[RoleDefinition, ...]:
    """The roles, each with a code of its own.

    Raises:
        ConfigurationInvalid: an entry that is no role, or a code that is used twice.
    """
    roles: dict[str, RoleDefinition] = {}
    for section in document.claim(ROLES):
        for text in document.texts(section.blocks):
            match = _ROLE.fullmatch(text.text)
            if match is None or not match["duty"]:
                raise invalid(
                    text.position,
                    f"{text.text!r} is no role",
                    "write it as “Incident Commander (IC): what the role does”",
                )
            if match["code"] in roles:
                raise invalid(text.position, f"two roles have the code {match['code']}", "give each a code of its own")
            roles[match["code"]] = RoleDefinition(match["code"], match["name"], match["duty"], text.position)
    return tuple(roles.values())


def read_activation(document: Document) -> str | None:
    """The sentence that says when the incident command system is activated."""
    texts = [text.text for section in document.claim(ACTIVATION) for text in document.texts(section.blocks)]
    return " ".join(texts) or None

"""Placeholders, the `<names in angle brackets>` that a runbook leaves open, and their binding to variables.

What the variables are worth is configuration; here they are only found and replaced.
"""

import re
from collections.abc import Mapping, Sequence

from tocsin.domain.canonical import Json

PLACEHOLDER = re.compile(r"<([A-Za-z_](?:[\w .-]{0,62}\w)?)>", re.ASCII)
"""A placeholder. The brackets touch the name, which tells it from a shell's redirection (`psql < backup.sql`)."""


def placeholders(text: str) -> tuple[str, ...]:
    """The names of the placeholders in a text, without brackets, each once, in the order of the text."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(text)))


def bind_placeholders(value: Json, variables: Mapping[str, str]) -> tuple[Json, tuple[str, ...]]:
    """Replaces the placeholders in every text of a JSON value, and names those without a variable.

    A placeholder without a variable stays as it is. What a variable brings in is not searched for placeholders again.
    Keys of objects are left alone: they are ours, not the runbook's.
    """
    missing: dict[str, None] = {}

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            missing[name] = None
            return match[0]
        return variables[name]

    def bound(part: Json) -> Json:
        if isinstance(part, str):
            return PLACEHOLDER.sub(replacement, part)
        if isinstance(part, Mapping):
            return {key: bound(item) for key, item in part.items()}
        if isinstance(part, Sequence):
            return [bound(item) for item in part]
        return part

    return bound(value), tuple(missing)

"""Canonical JSON and its SHA-256, for everything that is signed, chained or compared by hash.

Two values that are equal give the same bytes: keys sorted, no spaces, UTF-8, no floating-point numbers (their text
differs between languages; times are ISO 8601 strings and amounts decimal strings).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

type Json = None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]
"""What JSON can hold."""


def canonical_bytes(value: Json) -> bytes:
    """The one UTF-8 form of `value`.

    Raises:
        TypeError: it holds a floating-point number or something that JSON can't hold.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Json) -> str:
    """SHA-256 of the canonical form, in lower-case hexadecimal (64 characters)."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _refuse_floats(value: Json) -> None:
    if isinstance(value, float):
        raise TypeError("a floating-point number has no canonical form: use an integer or a decimal string")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            _refuse_floats(item)

"""Canonical JSON and its SHA-256, for everything that is signed, chained or compared by hash.

Two values that are equal give the same bytes: keys sorted, no spaces, UTF-8, no floating-point numbers (their text
differs between languages; times are ISO 8601 strings and amounts decimal strings).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import cast

type Json = None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]
"""What JSON can hold."""


def canonical_bytes(value: Json) -> bytes:
    """The one UTF-8 form of `value`.

    Raises:
        TypeError: it holds a floating-point number or something that JSON can't hold.
        ValueError: it holds half of a surrogate pair, which UTF-8 can't write.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Json) -> str:
    """SHA-256 of the canonical form, in lower-case hexadecimal (64 characters)."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _plain(value: object) -> object:
    """The value in the types that `json` writes; refuses what it would write in more than one way."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            raise TypeError("a floating-point number has no canonical form: use an integer or a decimal string")
        case Mapping():
            mapping = cast(Mapping[object, object], value)
            return {_key(key): _plain(item) for key, item in mapping.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(item) for item in cast(Sequence[object], value)]
        case _:
            raise TypeError(f"JSON can't hold a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a text, and {key!r} is none")
    return key

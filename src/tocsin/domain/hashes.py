"""Hashes of the Neo chain, in the form that people and JSON-RPC use: `0x` and big-endian hexadecimal."""

import re
from typing import NewType

ScriptHash = NewType("ScriptHash", str)
"""A contract or an account: `0x` and 40 hexadecimal digits."""

TxHash = NewType("TxHash", str)
"""A transaction: `0x` and 64 hexadecimal digits."""

BlockHash = NewType("BlockHash", str)
"""A block: `0x` and 64 hexadecimal digits."""

_160 = re.compile(r"(?:0x)?([0-9a-fA-F]{40})")
_256 = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


def script_hash(text: str) -> ScriptHash:
    """Normalises a script hash (the `0x` may be missing).

    Raises:
        ValueError: not 40 hexadecimal digits.
    """
    match = _160.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no script hash: expected 0x and 40 hexadecimal digits")
    return ScriptHash(f"0x{match[1].lower()}")


def tx_hash(text: str) -> TxHash:
    """Normalises a transaction hash (the `0x` may be missing).

    Raises:
        ValueError: not 64 hexadecimal digits.
    """
    match = _256.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no transaction hash: expected 0x and 64 hexadecimal digits")
    return TxHash(f"0x{match[1].lower()}")

"""Hashes of the Neo chain, in the form that people and JSON-RPC use: `0x` and big-endian hexadecimal."""

import hashlib
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


_ADDRESS_VERSION = 0x35
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def address_of(account: ScriptHash) -> str:
    """The account's address as wallets show it (Base58Check, address version 0x35 of Neo N3)."""
    payload = bytes([_ADDRESS_VERSION]) + bytes.fromhex(account[2:])[::-1]
    payload += _checksum(payload)
    number, text = int.from_bytes(payload), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text


def account_of(text: str) -> ScriptHash:
    """The account that an address or a script hash names.

    Raises:
        ValueError: neither an address of Neo N3 nor a script hash.
    """
    text = text.strip()
    if text.startswith("N") and len(text) == 34 and all(c in _BASE58 for c in text):
        number = 0
        for c in text:
            number = number * 58 + _BASE58.index(c)
        payload = number.to_bytes(25)
        if payload[0] == _ADDRESS_VERSION and _checksum(payload[:21]) == payload[21:]:
            return ScriptHash(f"0x{payload[1:21][::-1].hex()}")
        raise ValueError(f"{text!r} looks like an address, but its checksum is wrong: was a character mistyped?")
    match = _160.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is neither an address of Neo N3 (34 characters, from N on) nor a script hash")
    return ScriptHash(f"0x{match[1].lower()}")


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]

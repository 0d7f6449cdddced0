"""Hash and size of a transaction from the JSON that a node tells of it, so that no false content passes under it. Pure.

Serialises what is signed, as the protocol has it, from the members of neo-go's JSON.
"""

import base64
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from tocsin.connect.neo.wire import PendingSigner, PendingTransaction
from tocsin.domain.hashes import TxHash

_HEADER = struct.Struct("<BIqqI")
_SCOPES = {
    "None": 0x00,
    "CalledByEntry": 0x01,
    "CustomContracts": 0x10,
    "CustomGroups": 0x20,
    "WitnessRules": 0x40,
    "Rules": 0x40,
    "Global": 0x80,
}
_CUSTOM_CONTRACTS, _CUSTOM_GROUPS, _WITNESS_RULES = 0x10, 0x20, 0x40
_RULE_ACTIONS = {"Deny": 0, "Allow": 1}
_DEPTH_MAX = 4
"""How deep the conditions of a rule nest at most; the protocol allows three levels."""
_ORACLE_CODES = {
    "Success": 0x00,
    "ProtocolNotSupported": 0x10,
    "ConsensusUnreachable": 0x12,
    "NotFound": 0x14,
    "Timeout": 0x16,
    "Forbidden": 0x18,
    "ResponseTooLarge": 0x1A,
    "InsufficientFunds": 0x1C,
    "ContentTypeNotSupported": 0x1F,
    "Error": 0xFF,
}


class Unserialisable(Exception):
    """The content has a part that this module does not know, or that is malformed."""


@dataclass(frozen=True, slots=True)
class Imprint:
    """What follows from the content. The size, in bytes, includes the witnesses, which the hash does not cover."""

    tx: TxHash
    size: int
    script: bytes


def imprint(content: PendingTransaction) -> Imprint:
    """Hash and size of a transaction with this content.

    Raises:
        Unserialisable: it has a part that is malformed, or newer than this version.
    """
    try:
        script = _base64(content.script)
        unsigned = b"".join(
            (
                _HEADER.pack(content.version, content.nonce, content.sysfee, content.netfee, content.validuntilblock),
                _list([_signer(signer) for signer in content.signers]),
                _list([_attribute(attribute) for attribute in content.attributes]),
                _bytes(script),
            )
        )
        witnesses = _list([_bytes(_base64(w.invocation)) + _bytes(_base64(w.verification)) for w in content.witnesses])
    except (KeyError, TypeError, ValueError, struct.error, OverflowError) as error:
        raise Unserialisable(f"{type(error).__name__}: {error}") from error
    tx = TxHash(f"0x{hashlib.sha256(unsigned).digest()[::-1].hex()}")
    return Imprint(tx, len(unsigned) + len(witnesses), script)


def _signer(signer: PendingSigner) -> bytes:
    scopes = 0
    for name in signer.scopes.split(","):
        scopes |= _SCOPES[name.strip()]
    parts = [_hash(signer.account), bytes([scopes])]
    if scopes & _CUSTOM_CONTRACTS:
        parts.append(_list([_hash(contract) for contract in signer.allowedcontracts]))
    if scopes & _CUSTOM_GROUPS:
        parts.append(_list([bytes.fromhex(group) for group in signer.allowedgroups]))
    if scopes & _WITNESS_RULES:
        parts.append(_list([_rule(rule) for rule in signer.rules]))
    return b"".join(parts)


def _rule(rule: JsonValue) -> bytes:
    members = _object(rule)
    return bytes([_RULE_ACTIONS[_text(members["action"])]]) + _condition(members["condition"], 0)


def _condition(condition: JsonValue, depth: int) -> bytes:
    if depth > _DEPTH_MAX:
        raise ValueError("the conditions nest too deeply")
    members = _object(condition)
    match _text(members["type"]):
        case "Boolean":
            return b"\x00" + (b"\x01" if members["expression"] else b"\x00")
        case "Not":
            return b"\x01" + _condition(members["expression"], depth + 1)
        case "And":
            return b"\x02" + _conditions(members["expressions"], depth + 1)
        case "Or":
            return b"\x03" + _conditions(members["expressions"], depth + 1)
        case "ScriptHash":
            return b"\x18" + _hash(_text(members["hash"]))
        case "Group":
            return b"\x19" + bytes.fromhex(_text(members["group"]))
        case "CalledByEntry":
            return b"\x20"
        case "CalledByContract":
            return b"\x28" + _hash(_text(members["hash"]))
        case "CalledByGroup":
            return b"\x29" + bytes.fromhex(_text(members["group"]))
        case kind:
            raise ValueError(f"{kind[:40]!r} is no condition")


def _conditions(conditions: JsonValue, depth: int) -> bytes:
    if not isinstance(conditions, list):
        raise TypeError("the conditions are no list")
    return _list([_condition(each, depth) for each in conditions])


def _attribute(attribute: Mapping[str, JsonValue]) -> bytes:
    match _text(attribute["type"]):
        case "HighPriority":
            return b"\x01"
        case "OracleResponse":
            code = _ORACLE_CODES[_text(attribute["code"])]
            result = _base64(_text(attribute["result"]))
            return b"\x11" + struct.pack("<QB", attribute["id"], code) + _bytes(result)
        case "NotValidBefore":
            return b"\x20" + struct.pack("<I", attribute["height"])
        case "Conflicts":
            return b"\x21" + _hash(_text(attribute["hash"]))
        case "NotaryAssisted":
            return b"\x22" + struct.pack("<B", attribute["nkeys"])
        case kind:
            raise ValueError(f"{kind[:40]!r} is no attribute")


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _hash(text: str) -> bytes:
    """A hash as the chain has it: little-endian."""
    return bytes.fromhex(text.removeprefix("0x"))[::-1]


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _list(items: Sequence[bytes]) -> bytes:
    return _number(len(items)) + b"".join(items)


def _bytes(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    """A length as the protocol has it: one byte up to 252, else a mark and two or four."""
    if value < 0xFD:
        return bytes([value])
    return b"\xfd" + struct.pack("<H", value) if value <= 0xFFFF else b"\xfe" + struct.pack("<I", value)

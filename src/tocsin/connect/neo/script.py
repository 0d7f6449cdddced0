"""Calls as one script for the virtual machine, and signers as JSON-RPC takes them. Pure."""

from collections.abc import Mapping, Sequence

from tocsin.connect.neo import mamba
from tocsin.connect.neo.mamba import Pushable
from tocsin.connect.ports import Argument, Invocation, ParameterType, Signer
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash, script_hash, tx_hash

CONTRACTS_MAX = 16
"""How many contracts one signer's scope may name (a rule of the protocol)."""


def script_for(calls: Sequence[Invocation]) -> bytes:
    """One script that makes the calls in order and leaves one value a call on the stack.

    Raises:
        Refused: no call at all, or an argument whose value its type does not allow.
    """
    if not calls:
        raise Refused("no-calls", "there is nothing to call")
    script = bytearray()
    for call in calls:
        arguments = [
            _pushable(argument, f"{call.method}'s argument {n}") for n, argument in enumerate(call.arguments, 1)
        ]
        script += mamba.call_script(call.contract, call.method, arguments)
    return bytes(script)


def scope_of(calls: Sequence[Invocation], account: ScriptHash) -> Signer:
    """The account as a signer whose witness only the called contracts may use.

    Raises:
        Refused: the calls go to more contracts than a scope may name.
    """
    contracts = tuple(dict.fromkeys(call.contract for call in calls))
    if len(contracts) > CONTRACTS_MAX:
        raise Refused("too-many-contracts", f"one transaction may call {CONTRACTS_MAX} contracts, not {len(contracts)}")
    return Signer(account, contracts=contracts)


_SCOPES = {"none": "None", "called_by_entry": "CalledByEntry", "custom_contracts": "CustomContracts"}


def signers_json(signers: Sequence[Signer]) -> list[Mapping[str, Json]]:
    """Signers as the parameters of a test invocation."""
    shown: list[Mapping[str, Json]] = []
    for signer in signers:
        entry: dict[str, Json] = {"account": signer.account, "scopes": _SCOPES[signer.scope]}
        if signer.scope == "custom_contracts":
            entry["allowedcontracts"] = list(signer.contracts)
        shown.append(entry)
    return shown


def _pushable(argument: Argument, where: str) -> Pushable:
    """What the script builder pushes. Hashes become bytes, little-endian as on the chain."""
    try:
        return _converted(argument, where)
    except ValueError as error:
        raise Refused("argument-invalid", f"{where}: {error}") from error


def _converted(argument: Argument, where: str) -> Pushable:
    match argument.type, argument.value:
        case ParameterType.ANY, (None | bool() | int() | bytes()) as value:
            return value
        case ParameterType.ANY, str(value):
            return value.encode()
        case _, None:
            return None
        case ParameterType.BOOLEAN, bool(value):
            return value
        case ParameterType.INTEGER, int(value) if not isinstance(value, bool):
            if not -(2**255) <= value < 2**255:
                raise ValueError("an Integer has at most 32 bytes")
            return value
        case ((ParameterType.BYTE_ARRAY | ParameterType.SIGNATURE), bytes(value)):
            return value
        case ParameterType.STRING, str(value):
            return value.encode()
        case ParameterType.HASH160, str(value):
            return bytes.fromhex(script_hash(value)[2:])[::-1]
        case ParameterType.HASH256, str(value):
            return bytes.fromhex(tx_hash(value)[2:])[::-1]
        case ParameterType.PUBLIC_KEY, (str() | bytes()) as value:
            return _public_key(value)
        case ((ParameterType.ARRAY | ParameterType.ANY), tuple(items)):
            return [_pushable(item, f"{where}, item {n}") for n, item in enumerate(items, 1)]
        case ParameterType.MAP, tuple(entries):
            return dict(_map_entry(entry, where) for entry in entries)
        case kind, value:
            raise ValueError(f"a {type(value).__name__} is no {kind}")


def _public_key(value: str | bytes) -> bytes:
    key = bytes.fromhex(value) if isinstance(value, str) else value
    if len(key) != 33 or key[0] not in (2, 3):
        raise ValueError("a PublicKey is 33 bytes, compressed")
    return key


def _map_entry(entry: Argument, where: str) -> tuple[bool | int | bytes, Pushable]:
    """A Map's value is a tuple of Array arguments, each of a key and a value."""
    pair = entry.value
    if entry.type is not ParameterType.ARRAY or not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError("each entry of a Map is an Array of a key and a value")
    key = _pushable(pair[0], f"{where}, a key")
    if not isinstance(key, bool | int | bytes):
        raise ValueError("a Map's key is a Boolean, an Integer, or bytes")
    return key, _pushable(pair[1], f"{where}, a value")

"""An unsigned transaction, read from the bytes that are signed, and written for a proposal. Pure.

What a person signs are these bytes and nothing else, so they are read strictly: every number in its shortest form,
every bound of the protocol kept, nothing left over, nothing skipped. What can't be read completely can't be shown, and
is refused. What the script does is read in `disassembly`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash, TxHash

TRANSACTION_BYTES_MAX = 102_400
SCRIPT_BYTES_MAX = 65_535
SIGNERS_MAX = 16
"""Signers, attributes and signers together, and each list inside of a signer's scope (rules of the protocol)."""
_CONDITION_DEPTH_MAX = 3
_FEE_MAX = 2**63 - 1


class Scope(IntFlag):
    """Who may use a signer's witness; a signer may have several, but Global stands alone."""

    NONE = 0x00
    CALLED_BY_ENTRY = 0x01
    CUSTOM_CONTRACTS = 0x10
    CUSTOM_GROUPS = 0x20
    WITNESS_RULES = 0x40
    GLOBAL = 0x80


_SCOPE_NAMES: Mapping[Scope, str] = {
    Scope.CALLED_BY_ENTRY: "CalledByEntry",
    Scope.CUSTOM_CONTRACTS: "CustomContracts",
    Scope.CUSTOM_GROUPS: "CustomGroups",
    Scope.WITNESS_RULES: "WitnessRules",
    Scope.GLOBAL: "Global",
}
_SCOPE_BITS = Scope.CALLED_BY_ENTRY | Scope.CUSTOM_CONTRACTS | Scope.CUSTOM_GROUPS | Scope.WITNESS_RULES


@dataclass(frozen=True, slots=True)
class WitnessRule:
    """A rule of a signer's scope. `action` is Allow or Deny; `condition` is written as JSON-RPC writes it."""

    action: str
    condition: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class PayloadSigner:
    """An account whose witness the transaction carries, and who may use it."""

    account: ScriptHash
    scope: Scope
    contracts: tuple[ScriptHash, ...] = ()
    groups: tuple[str, ...] = ()
    rules: tuple[WitnessRule, ...] = ()

    @property
    def scope_names(self) -> tuple[str, ...]:
        """The scopes as JSON-RPC names them."""
        return tuple(name for scope, name in _SCOPE_NAMES.items() if scope in self.scope) or ("None",)

    def as_json(self) -> Mapping[str, Json]:
        """The signer as a parameter of a test invocation."""
        shown: dict[str, Json] = {"account": self.account, "scopes": ",".join(self.scope_names)}
        if Scope.CUSTOM_CONTRACTS in self.scope:
            shown["allowedcontracts"] = list(self.contracts)
        if Scope.CUSTOM_GROUPS in self.scope:
            shown["allowedgroups"] = list(self.groups)
        if Scope.WITNESS_RULES in self.scope:
            shown["rules"] = [{"action": rule.action, "condition": rule.condition} for rule in self.rules]
        return shown


@dataclass(frozen=True, slots=True)
class PayloadAttribute:
    """An attribute: its kind, and what it says, in words."""

    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Payload:
    """An unsigned transaction. `raw` are its bytes, which everything else here was read from."""

    raw: bytes
    nonce: int
    system_fee: Gas
    network_fee: Gas
    valid_until_block: int
    signers: tuple[PayloadSigner, ...]
    attributes: tuple[PayloadAttribute, ...]
    script: bytes

    @property
    def tx(self) -> TxHash:
        """The transaction's hash; witnesses are no part of it."""
        return TxHash(f"0x{self._digest()[::-1].hex()}")

    def message(self, magic: int) -> bytes:
        """What is signed: the number of the network, and the hash."""
        return magic.to_bytes(4, "little") + self._digest()

    def _digest(self) -> bytes:
        return hashlib.sha256(self.raw).digest()


def read_payload(raw: bytes) -> Payload:
    """Reads an unsigned transaction.

    Raises:
        Refused: the bytes are no transaction, or hold something that this version can't read.
    """
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise unreadable(f"it has more than {TRANSACTION_BYTES_MAX} bytes")
    source = _Source(raw)
    if (version := source.number(1)) != 0:
        raise unreadable(f"its version is {version}, not 0")
    nonce, system_fee, network_fee = source.number(4), source.number(8), source.number(8)
    if system_fee + network_fee > _FEE_MAX:
        raise unreadable("its fees are no amounts")
    valid_until_block = source.number(4)
    signers = tuple(_signer(source) for _ in range(source.count(SIGNERS_MAX)))
    if not signers or len({signer.account for signer in signers}) != len(signers):
        raise unreadable("it has no signer, or one twice")
    attributes = tuple(_attribute(source) for _ in range(source.count(SIGNERS_MAX - len(signers))))
    script = source.sized(SCRIPT_BYTES_MAX)
    if not script:
        raise unreadable("it has no script")
    if source.left:
        raise unreadable(f"{source.left} bytes follow its end")
    return Payload(raw, nonce, Gas(system_fee), Gas(network_fee), valid_until_block, signers, attributes, script)


def write_payload(
    *,
    nonce: int,
    system_fee: Gas,
    network_fee: Gas,
    valid_until_block: int,
    account: ScriptHash,
    contracts: Sequence[ScriptHash],
    script: bytes,
) -> Payload:
    """A transaction of one signer, whose witness only these contracts may use.

    Raises:
        Refused: something is out of the protocol's bounds.
    """
    raw = b"\x00" + nonce.to_bytes(4, "little")
    raw += system_fee.fractions.to_bytes(8, "little") + network_fee.fractions.to_bytes(8, "little")
    raw += valid_until_block.to_bytes(4, "little")
    raw += b"\x01" + _hash_bytes(account) + bytes([Scope.CUSTOM_CONTRACTS])
    raw += var_int(len(contracts)) + b"".join(map(_hash_bytes, contracts))
    raw += b"\x00" + var_bytes(script)
    return read_payload(raw)


def var_int(number: int) -> bytes:
    """A number that is not negative, in the variable length of the protocol."""
    if number < 0xFD:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfd" + number.to_bytes(2, "little")
    return b"\xfe" + number.to_bytes(4, "little")


def var_bytes(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return var_int(len(data)) + data


def unreadable(why: str) -> Refused:
    """The error for bytes that are no transaction that can be shown."""
    return Refused(
        "transaction-unreadable",
        f"the transaction can't be read from its bytes: {why}",
        next_step="don't sign what can't be shown; ask whoever proposed it for the file again",
    )


def _hash_bytes(hash_: ScriptHash) -> bytes:
    return bytes.fromhex(hash_[2:])[::-1]


class _Source:
    """Bytes that are read from front to end."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise unreadable("it ends too early")
        self._at += size
        return self._raw[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self, most: int) -> int:
        first = self.number(1)
        value = first if first < 0xFD else self.number({0xFD: 2, 0xFE: 4, 0xFF: 8}[first])
        # Written longer than needed, the same transaction would have another hash for nodes that write it anew.
        if first >= 0xFD and (value <= 0xFFFFFFFF and var_int(value)[0] != first):
            raise unreadable("a number is not in its shortest form")
        if value > most:
            raise unreadable(f"it holds {value} of something of which there may be {most}")
        return value

    def sized(self, most: int) -> bytes:
        return self.take(self.count(most))

    def script_hash(self) -> ScriptHash:
        return ScriptHash(f"0x{self.take(20)[::-1].hex()}")

    def public_key(self) -> str:
        key = self.take(33)
        if key[0] not in (2, 3):
            raise unreadable("a group is no compressed public key")
        return key.hex()


def _signer(source: _Source) -> PayloadSigner:
    account, bits = source.script_hash(), source.number(1)
    if bits & ~_SCOPE_BITS and bits != Scope.GLOBAL:
        raise unreadable(f"a signer has the unknown scope 0x{bits:02x}")
    scope = Scope(bits)
    contracts = groups = rules = ()
    if Scope.CUSTOM_CONTRACTS in scope:
        contracts = tuple(source.script_hash() for _ in range(source.count(SIGNERS_MAX)))
    if Scope.CUSTOM_GROUPS in scope:
        groups = tuple(source.public_key() for _ in range(source.count(SIGNERS_MAX)))
    if Scope.WITNESS_RULES in scope:
        rules = tuple(_rule(source) for _ in range(source.count(SIGNERS_MAX)))
    return PayloadSigner(account, scope, contracts, groups, rules)


def _rule(source: _Source) -> WitnessRule:
    action = source.number(1)
    if action > 1:
        raise unreadable("a witness rule neither allows nor denies")
    return WitnessRule("Allow" if action else "Deny", _condition(source, 1))


def _condition(source: _Source, depth: int) -> Mapping[str, Json]:
    if depth > _CONDITION_DEPTH_MAX:
        raise unreadable("a witness rule nests too deeply")
    match source.number(1):
        case 0x00:
            truth = source.number(1)
            if truth > 1:
                raise unreadable("a truth value is neither true nor false")
            return {"type": "Boolean", "expression": bool(truth)}
        case 0x01:
            return {"type": "Not", "expression": _condition(source, depth + 1)}
        case (0x02 | 0x03) as kind:
            parts = [_condition(source, depth + 1) for _ in range(source.count(SIGNERS_MAX))]
            return {"type": "And" if kind == 0x02 else "Or", "expressions": parts}
        case 0x18:
            return {"type": "ScriptHash", "hash": source.script_hash()}
        case 0x19:
            return {"type": "Group", "group": source.public_key()}
        case 0x20:
            return {"type": "CalledByEntry"}
        case 0x28:
            return {"type": "CalledByContract", "hash": source.script_hash()}
        case 0x29:
            return {"type": "CalledByGroup", "group": source.public_key()}
        case kind:
            raise unreadable(f"a witness rule has the unknown condition 0x{kind:02x}")


def _attribute(source: _Source) -> PayloadAttribute:
    match source.number(1):
        case 0x01:
            return PayloadAttribute("HighPriority", "goes before all others; only the committee may")
        case 0x11:
            number, code, size = source.number(8), source.number(1), len(source.sized(SCRIPT_BYTES_MAX))
            return PayloadAttribute("OracleResponse", f"answers oracle request {number} (code {code}, {size} bytes)")
        case 0x20:
            return PayloadAttribute("NotValidBefore", f"can't be in a block before {source.number(4)}")
        case 0x21:
            return PayloadAttribute("Conflicts", f"takes the place of transaction 0x{source.take(32)[::-1].hex()}")
        case 0x22:
            return PayloadAttribute("NotaryAssisted", f"a notary collects {source.number(1)} signatures")
        case kind:
            raise unreadable(f"it has the unknown attribute 0x{kind:02x}")

"""Partly signed transactions, in the JSON that neo-go, Neo's own wallets and Tocsin hand from person to person.

Of such a file only the transaction's bytes, the verification scripts and the signatures are taken over, and each is
checked: the hash, the network and the accounts must be those of the bytes, and every signature must be one by a member
over these bytes. Everything else in it is computed anew. A value here is therefore as good as its bytes.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin.connect.neo import mamba
from tocsin.connect.neo.multisig import Verification, single_of, verification_of
from tocsin.connect.neo.payload import (
    SIGNERS_MAX,
    TRANSACTION_BYTES_MAX,
    Payload,
    read_payload,
    unreadable,
    var_bytes,
    var_int,
)
from tocsin.connect.neo.wallets import Key
from tocsin.connect.neo.wire import Hash160, Hash256
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash

FILE_BYTES_MAX = 1 << 20
_TYPE = "Neo.Network.P2P.Payloads.Transaction"


@dataclass(frozen=True, slots=True)
class Signatures:
    """Who must sign for one signer, and the valid signatures that are there, by compressed public key."""

    verification: Verification
    by_key: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    @property
    def missing(self) -> int:
        """How many signatures are still needed."""
        return max(0, self.verification.needed - len(self.by_key))


@dataclass(frozen=True, slots=True)
class PartlySigned:
    """A transaction with the signatures that it has so far. Every signature in it is valid.

    `signatures` has an entry for each signer whose verification script is known.
    """

    payload: Payload
    magic: int
    signatures: Mapping[ScriptHash, Signatures]

    @classmethod
    def of(cls, payload: Payload, magic: int, verifications: Sequence[Verification] = ()) -> "PartlySigned":
        """The transaction without a signature; of the accounts, those that are its signers are taken."""
        return cls(payload, magic, {}).knowing(verifications)

    def knowing(self, verifications: Sequence[Verification]) -> "PartlySigned":
        """The same, with the scripts of those signers of which only the account was known."""
        signers = {signer.account for signer in self.payload.signers}
        found = {each.account: Signatures(each) for each in verifications if each.account in signers}
        return replace(self, signatures={**found, **self.signatures})

    @property
    def unknown(self) -> tuple[ScriptHash, ...]:
        """The signers of which it is not known who must sign for them."""
        return tuple(signer.account for signer in self.payload.signers if signer.account not in self.signatures)

    @property
    def complete(self) -> bool:
        """Whether every signer has its signatures."""
        return not self.unknown and all(each.missing == 0 for each in self.signatures.values())

    def may_sign(self, public_key: bytes) -> None:
        """Makes sure that a signature of this key is wanted.

        Raises:
            Refused: the key is no member of a signer, has signed already, or everybody who must has signed.
            ConfigurationInvalid: it is no public key.
        """
        known = self.knowing([single_of(public_key)])
        places = [each for each in known.signatures.values() if public_key in each.verification.public_keys]
        if not places:
            raise Refused(
                "not-a-member",
                f"the key {public_key.hex()} signs for none of the transaction's signers "
                f"({', '.join(signer.account for signer in self.payload.signers)})",
                next_step="sign with a member's key; `tocsin tx show` lists the members",
                data={"public_key": public_key.hex()},
            )
        if all(public_key in each.by_key for each in places):
            raise Refused(
                "already-signed",
                f"the key {public_key.hex()} has signed this transaction already",
                next_step="hand the file to the next member, or send it if it is complete",
                data={"public_key": public_key.hex()},
            )
        if all(each.missing == 0 for each in places):
            raise Refused("already-complete", "all signatures that are needed are there", next_step="send it")

    def signed(self, key: Key) -> "PartlySigned":
        """The same with this key's signature, wherever it is a member.

        Raises:
            Refused: see `may_sign`.
        """
        self.may_sign(key.public_key)
        known = self.knowing([single_of(key.public_key)])
        signature = key.sign(self.payload.message(self.magic))
        added = {
            account: replace(each, by_key={**each.by_key, key.public_key: signature})
            if key.public_key in each.verification.public_keys and each.missing
            else each
            for account, each in known.signatures.items()
        }
        return replace(known, signatures=added)

    def combined(self, other: "PartlySigned") -> "PartlySigned":
        """The same with the other's signatures.

        Raises:
            Refused: they are signatures of different transactions.
        """
        if (self.payload.raw, self.magic) != (other.payload.raw, other.magic):
            raise Refused(
                "different-transactions",
                f"the files hold different transactions: {self.payload.tx} and {other.payload.tx}",
                next_step="only signatures of one and the same transaction can be put together",
            )
        together = {**other.signatures, **self.signatures}
        for account in self.signatures.keys() & other.signatures.keys():
            both = {**other.signatures[account].by_key, **self.signatures[account].by_key}
            together[account] = replace(self.signatures[account], by_key=both)
        return replace(self, signatures=together)

    def complete_bytes(self) -> bytes:
        """The whole transaction with its witnesses, as it is sent.

        Raises:
            Refused: signatures are missing, or it is too large.
        """
        if not self.complete:
            lacking = [f"{each.missing} for {account}" for account, each in self.signatures.items() if each.missing]
            lacking += [f"all for {account}" for account in self.unknown]
            raise Refused(
                "incomplete",
                f"transaction {self.payload.tx} still needs signatures: {', '.join(lacking)}",
                next_step="hand the file to another member to sign: tocsin tx sign FILE",
                data={"tx": self.payload.tx},
            )
        return self._with({account: each.verification.invocation(each.by_key) for account, each in self._each()})

    def sample_bytes(self) -> bytes:
        """The transaction with witnesses of the right size and of no use, for a rehearsal.

        Raises:
            Refused: it is not known who signs for one of the signers.
        """
        if self.unknown:
            raise Refused(
                "signer-unknown",
                f"it is not known who signs for {', '.join(self.unknown)}",
                next_step="add the account to [accounts] of the configuration, or let its member sign first",
            )
        return self._with({account: each.verification.sample() for account, each in self._each()})

    def as_json(self) -> dict[str, Json]:
        """The file's content, as neo-go writes it."""
        items: dict[str, Json] = {account: _item_json(each) for account, each in self._each()}
        return {
            "type": _TYPE,
            "network": self.magic,
            "hash": self.payload.tx,
            "data": _base64(self.payload.raw),
            "items": items,
        }

    def _each(self) -> list[tuple[ScriptHash, Signatures]]:
        """In the order of the signers, which is the order of the witnesses."""
        return [(s.account, self.signatures[s.account]) for s in self.payload.signers if s.account in self.signatures]

    def _with(self, invocations: Mapping[ScriptHash, bytes]) -> bytes:
        raw = self.payload.raw + var_int(len(self.payload.signers))
        for account, each in self._each():
            raw += var_bytes(invocations[account]) + var_bytes(each.verification.script)
        if len(raw) > TRANSACTION_BYTES_MAX:
            raise unreadable(f"with its signatures it has more than {TRANSACTION_BYTES_MAX} bytes")
        return raw


def read_exchange(content: bytes, magic: int) -> PartlySigned:
    """Reads a file's content (at most `FILE_BYTES_MAX`) for the network of this number.

    Raises:
        Refused: it is no such file, is of another network, or does not hold together; the message says where.
    """
    try:
        # Read twice over: pydantic would not see that a member comes twice, and which of the two counts.
        file = _File.model_validate(json.loads(content, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        where = _first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise Refused(
            "not-a-transaction-file",
            f"this is no JSON of a partly signed transaction: {where}",
            next_step="give the file that `tocsin tx propose` or `neo-go … --out` wrote",
        ) from error
    if file.network != magic:
        raise Refused(
            "foreign-network",
            f"the transaction is for network {file.network}, and the configuration's is {magic}",
            next_step="use the configuration of that network, or ask for a transaction of this one",
            data={"network": file.network, "configured": magic},
        )
    payload = read_payload(_decoded(file.data, "data"))
    if file.hash is not None and file.hash != payload.tx:
        raise _tampered("hash-mismatch", f"the file says hash {file.hash}, and its bytes are transaction {payload.tx}")
    partly = PartlySigned.of(payload, magic)
    signers = {signer.account for signer in payload.signers}
    signatures: dict[ScriptHash, Signatures] = {}
    for text, item in file.items.items():
        account = ScriptHash(text)
        if account not in signers:
            raise _tampered("not-a-signer", f"the file has signatures for {account}, which is no signer")
        signatures[account] = _checked(account, item, payload.message(magic))
    return replace(partly, signatures=signatures)


class _Parameter(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    value: str | None = None


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")

    script: str | None = None
    parameters: tuple[_Parameter, ...] = Field(default=(), max_length=1024)
    signatures: dict[str, str] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Literal["Neo.Network.P2P.Payloads.Transaction", "Neo.Core.ContractTransaction"]
    network: int = Field(ge=0, le=2**32 - 1)
    hash: Hash256 | None = None
    data: str
    items: dict[Hash160, _Item] = Field(default={}, max_length=SIGNERS_MAX)


def _checked(account: ScriptHash, item: _Item, message: bytes) -> Signatures:
    """The signatures of one signer, every one of which is a member's over the message."""
    verification = verification_of(_decoded(item.script or "", f"the script of {account}"))
    if verification.account != account:
        raise _tampered(
            "script-mismatch", f"the script given for {account} is that of another account, {verification.account}"
        )
    given = dict(item.signatures or {})
    if verification.is_single and not given and item.parameters and item.parameters[0].value is not None:
        # neo-go keeps the signature of a single key here only.
        given = {verification.public_keys[0].hex(): item.parameters[0].value}
    by_key: dict[bytes, bytes] = {}
    for name, text in given.items():
        key = next((key for key in verification.public_keys if key.hex() == name.lower()), None)
        if key is None:
            raise _tampered("signature-of-stranger", f"there is a signature by {name[:66]!r}, no member of {account}")
        signature = _decoded(text, f"the signature by {name}")
        if len(signature) != 64 or not mamba.verify(message, signature, key):
            raise _tampered("signature-invalid", f"the signature by {name} is none over this transaction")
        by_key[key] = signature
    return Signatures(verification, by_key)


def _item_json(each: Signatures) -> dict[str, Json]:
    verification = each.verification
    parameters: list[dict[str, Json]] = [{"type": "Signature"} for _ in range(verification.needed)]
    if each.missing == 0:
        # Tools push the parameters from the last to the first, so they stand in the reverse order of the keys.
        for parameter, signature in zip(parameters, reversed(verification.chosen(each.by_key)), strict=True):
            parameter["value"] = _base64(signature)
    signatures: dict[str, Json] = {key.hex(): _base64(signature) for key, signature in each.by_key.items()}
    return {"script": _base64(verification.script), "parameters": parameters, "signatures": signatures}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _tampered("not-base64", f"{what} is not base64") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _tampered(code: str, message: str) -> Refused:
    return Refused(
        code,
        message,
        next_step="the file was changed or mixed up: don't sign it, ask whoever proposed it for it again",
    )

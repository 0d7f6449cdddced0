"""Says in words what a transaction would do, from its bytes: calls, signers and scopes, fees, expiry, attributes.

Names of contracts, methods and parameters come from manifests where the chain can be asked, and names given by the
configuration stand beside the hashes, never in their place: anybody may give a contract any name. What a person should
not overlook is a warning. Nothing here decides, and nothing is printed; views do that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.connect.neo.disassembly import ALL_FLAGS, PlainCall, Use, calls_in
from tocsin.connect.neo.exchange import PartlySigned
from tocsin.connect.neo.network import FeeLimits
from tocsin.connect.neo.payload import PayloadSigner, Scope
from tocsin.connect.ports import ChainReader, Manifest, ManifestMethod, ParameterType, StackValue
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash, address_of

GAS_CONTRACT = ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf")


@dataclass(frozen=True, slots=True)
class Names:
    """What the configuration calls contracts and accounts, and whose public key (hexadecimal) is whose."""

    contracts: Mapping[ScriptHash, str] = field(default_factory=dict[ScriptHash, str])
    accounts: Mapping[ScriptHash, str] = field(default_factory=dict[ScriptHash, str])
    keys: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ArgumentWords:
    """An argument: the parameter's name (None if no manifest says it), its type, and the value for people."""

    name: str | None
    type: ParameterType | None
    text: str


@dataclass(frozen=True, slots=True)
class CallWords:
    """A call: `configured` is the configuration's name of the contract, `calls_itself` the manifest's."""

    contract: ScriptHash
    configured: str | None
    calls_itself: str | None
    method: str
    arguments: tuple[ArgumentWords, ...]
    use: Use

    def __str__(self) -> str:
        shown = ", ".join(f"{a.name}: {a.text}" if a.name else a.text for a in self.arguments)
        return f"{self.configured or self.calls_itself or self.contract}.{self.method}({shown})"


@dataclass(frozen=True, slots=True)
class SignerWords:
    """A signer: the scope in words, how many must sign, and who of the members has (public keys, names)."""

    account: ScriptHash
    name: str | None
    scope: str
    needed: int | None
    members: tuple[tuple[str, str | None, bool], ...]

    @property
    def address(self) -> str:
        """The account as wallets show it."""
        return address_of(self.account)

    @property
    def missing(self) -> int | None:
        """How many signatures are still needed; None where it is not known who signs."""
        return None if self.needed is None else max(0, self.needed - sum(signed for _, _, signed in self.members))


@dataclass(frozen=True, slots=True)
class Description:
    """A transaction in words. `calls` is None where the script is no plain sequence of calls."""

    tx: str
    magic: int
    calls: tuple[CallWords, ...] | None
    script: bytes
    signers: tuple[SignerWords, ...]
    system_fee: Gas
    network_fee: Gas
    valid_until_block: int
    attributes: tuple[str, ...]
    complete: bool
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """The description for scripts."""
        calls: Json = None if self.calls is None else [_call_json(call) for call in self.calls]
        return {
            "tx": self.tx,
            "network": self.magic,
            "calls": calls,
            "script": self.script.hex(),
            "signers": [_signer_json(signer) for signer in self.signers],
            "system_fee": str(self.system_fee),
            "network_fee": str(self.network_fee),
            "valid_until_block": self.valid_until_block,
            "attributes": list(self.attributes),
            "complete": self.complete,
            "warnings": list(self.warnings),
        }


async def describe(
    partly: PartlySigned, names: Names, reader: ChainReader | None, limits: FeeLimits | None = None
) -> Description:
    """The transaction in words. Without a reader, or where it can't be asked, contracts are shown by their hashes.

    Fees above `limits` are warned of.
    """
    payload = partly.payload
    plain = calls_in(payload.script)
    contracts = dict.fromkeys(call.contract for call in plain or ())
    manifests, warnings = await _manifests(tuple(contracts), reader)
    calls: list[CallWords] = []
    for call in plain or ():
        words, remarks = _call(call, manifests.get(call.contract), names)
        calls.append(words)
        warnings += remarks
    if plain is None:
        warnings.append(
            "THE SCRIPT IS NOT A PLAIN SEQUENCE OF CONTRACT CALLS: what it does can't be said in words; "
            "don't sign it unless you can read it"
        )
    if limits is not None and (payload.system_fee > limits.system_max or payload.network_fee > limits.network_max):
        warnings.append(
            f"THE FEES ARE ABOVE THE CONFIGURED LIMITS ({limits.system_max} and {limits.network_max} GAS): "
            f"the first signer would lose {payload.system_fee + payload.network_fee} GAS"
        )
    for signer in payload.signers:
        warnings += _scope_warnings(signer, tuple(contracts), names)
    return Description(
        tx=payload.tx,
        magic=partly.magic,
        calls=None if plain is None else tuple(calls),
        script=payload.script,
        signers=tuple(_signer(signer, partly, names) for signer in payload.signers),
        system_fee=payload.system_fee,
        network_fee=payload.network_fee,
        valid_until_block=payload.valid_until_block,
        attributes=tuple(f"{each.kind}: {each.meaning}" for each in payload.attributes),
        complete=partly.complete,
        warnings=tuple(warnings),
    )


async def _manifests(
    contracts: Sequence[ScriptHash], reader: ChainReader | None
) -> tuple[dict[ScriptHash, Manifest], list[str]]:
    manifests: dict[ScriptHash, Manifest] = {}
    warnings: list[str] = []
    for contract in contracts:
        if reader is None:
            break
        try:
            manifests[contract] = await reader.manifest(contract)
        except Refused:
            warnings.append(f"no contract stands at {contract}: the call would fail")
        except Unavailable:
            reader = None
    if reader is None:
        warnings.append("no endpoint answered: contracts, methods and arguments are shown as the bytes have them")
    return manifests, warnings


def _call(call: PlainCall, manifest: Manifest | None, names: Names) -> tuple[CallWords, list[str]]:
    method = _method(call, manifest)
    warnings: list[str] = []
    shown_method = visible(call.method)
    if manifest is not None and method is None:
        warnings.append(
            f"{visible(manifest.name)} ({call.contract}) has no method {shown_method} with {len(call.arguments)} "
            "argument(s): the call would fail"
        )
    if call.flags != ALL_FLAGS:
        warnings.append(f"{shown_method} is called with the call flags 0x{call.flags:02x} instead of all")
    parameters = method.parameters if method is not None else ((None, None),) * len(call.arguments)
    arguments = tuple(
        ArgumentWords(None if name is None else visible(name), kind, _argument(call.contract, name, kind, value, names))
        for (name, kind), value in zip(parameters, call.arguments, strict=True)
    )
    itself = None if manifest is None else visible(manifest.name)
    return (
        CallWords(call.contract, names.contracts.get(call.contract), itself, shown_method, arguments, call.use),
        warnings,
    )


def _method(call: PlainCall, manifest: Manifest | None) -> ManifestMethod | None:
    if manifest is None:
        return None
    fits = (m for m in manifest.methods if m.name == call.method and len(m.parameters) == len(call.arguments))
    return next(fits, None)


def _argument(
    contract: ScriptHash, name: str | None, kind: ParameterType | None, value: StackValue, names: Names
) -> str:
    match kind, value:
        case ParameterType.BOOLEAN, bool() | int():
            return "true" if value else "false"
        case ParameterType.INTEGER, int() if contract == GAS_CONTRACT and name == "amount":
            return f"{Gas(int(value))} GAS"
        case ParameterType.INTEGER, bytes() if len(value) <= 32:
            return str(int.from_bytes(value, "little", signed=True))
        case ParameterType.HASH256, bytes() if len(value) == 32:
            return f"0x{value[::-1].hex()}"
        case ((ParameterType.HASH160 | ParameterType.ANY | None), bytes()) if len(value) == 20:
            return account_words(ScriptHash(f"0x{value[::-1].hex()}"), names)
        case ((ParameterType.STRING | ParameterType.ANY | None), bytes()):
            return _text_or_hex(value)
        case _, bytes():
            return f"0x{value.hex()}"
        case _, tuple():
            return f"[{', '.join(_argument(contract, None, None, each, names) for each in value)}]"
        case _, None:
            return "null"
        case _, bool():
            return "true" if value else "false"
        case _:
            return str(value)


def account_words(account: ScriptHash, names: Names) -> str:
    """An account or contract: hash, address, and what the configuration calls it."""
    name = names.accounts.get(account) or names.contracts.get(account)
    return f"{account} ({address_of(account)}{f', {name}' if name else ''})"


def _text_or_hex(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return f'"{visible(text)}"' if text.isprintable() or not data else f"0x{data.hex()}"


def visible(text: str) -> str:
    """Text from the chain without anything that a terminal would obey or that turns reading direction round."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _signer(signer: PayloadSigner, partly: PartlySigned, names: Names) -> SignerWords:
    known = partly.signatures.get(signer.account)
    members = () if known is None else known.verification.public_keys
    return SignerWords(
        account=signer.account,
        name=names.accounts.get(signer.account),
        scope=_scope(signer, names),
        needed=None if known is None else known.verification.needed,
        members=tuple(
            (key.hex(), names.keys.get(key.hex()), known is not None and key in known.by_key) for key in members
        ),
    )


def _scope(signer: PayloadSigner, names: Names) -> str:
    parts: list[str] = []
    if signer.scope == Scope.NONE:
        parts.append("None: pays the fee and consents to nothing")
    if Scope.CALLED_BY_ENTRY in signer.scope:
        parts.append("CalledByEntry: the contracts that the script itself calls")
    if Scope.CUSTOM_CONTRACTS in signer.scope:
        contracts = [
            f"{hash_} ({name})" if (name := names.contracts.get(hash_)) else hash_ for hash_ in signer.contracts
        ]
        parts.append(f"CustomContracts: only {', '.join(contracts) or 'none'}")
    if Scope.CUSTOM_GROUPS in signer.scope:
        parts.append(f"CustomGroups: contracts of the groups {', '.join(signer.groups) or 'none'}")
    if Scope.WITNESS_RULES in signer.scope:
        rules = "; ".join(f"{rule.action} if {condition_words(rule.condition)}" for rule in signer.rules)
        parts.append(f"WitnessRules: {rules or 'none'}")
    if Scope.GLOBAL in signer.scope:
        parts.append("GLOBAL: ANY CONTRACT MAY ACT FOR THIS ACCOUNT")
    return "; ".join(parts)


def condition_words(condition: Mapping[str, Json]) -> str:
    """A witness rule's condition in words."""
    match condition:
        case {"type": "Boolean", "expression": truth}:
            return "always" if truth else "never"
        case {"type": "Not", "expression": Mapping() as inner}:
            return f"not ({condition_words(inner)})"
        case {"type": "And", "expressions": [*parts]}:
            return f"({' and '.join(condition_words(part) for part in parts if isinstance(part, Mapping))})"
        case {"type": "Or", "expressions": [*parts]}:
            return f"({' or '.join(condition_words(part) for part in parts if isinstance(part, Mapping))})"
        case {"type": "ScriptHash", "hash": hash_}:
            return f"the contract is {hash_}"
        case {"type": "Group", "group": group}:
            return f"the contract is of group {group}"
        case {"type": "CalledByEntry"}:
            return "called by the script itself"
        case {"type": "CalledByContract", "hash": hash_}:
            return f"called by {hash_}"
        case {"type": "CalledByGroup", "group": group}:
            return f"called by group {group}"
        case _:
            return str(condition)


def _scope_warnings(signer: PayloadSigner, called: Sequence[ScriptHash], names: Names) -> list[str]:
    account = names.accounts.get(signer.account) or signer.account
    warnings: list[str] = []
    if Scope.GLOBAL in signer.scope:
        warnings.append(
            f"GLOBAL SCOPE: any contract that runs in this transaction, called directly or not, may act for {account} "
            "and move what it holds; don't sign this, ask for CustomContracts"
        )
    others = [contract for contract in signer.contracts if contract not in called]
    if others:
        warnings.append(
            f"the witness of {account} may also be used by {', '.join(others)}, which the script does not call"
        )
    if signer.groups or signer.rules:
        warnings.append(f"the witness of {account} is given by groups or rules: read them closely")
    return warnings


def _call_json(call: CallWords) -> dict[str, Json]:
    return {
        "contract": call.contract,
        "configured_name": call.configured,
        "manifest_name": call.calls_itself,
        "method": call.method,
        "arguments": [{"name": a.name, "type": a.type, "text": a.text} for a in call.arguments],
        "answer": call.use,
        "text": str(call),
    }


def _signer_json(signer: SignerWords) -> dict[str, Json]:
    return {
        "account": signer.account,
        "address": signer.address,
        "name": signer.name,
        "scope": signer.scope,
        "needed": signer.needed,
        "missing": signer.missing,
        "members": [{"public_key": key, "name": name, "signed": signed} for key, name, signed in signer.members],
    }

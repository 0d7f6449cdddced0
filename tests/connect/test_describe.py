"""What a person reads before signing: transactions and scripts as bytes, in words, and what is loudly warned of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neo3.core.cryptography import ECPoint
from neo3.core.types import UInt160
from neo3.network.payloads.transaction import HighPriorityAttribute, Transaction
from neo3.network.payloads.verification import (
    ConditionAnd,
    ConditionCalledByContract,
    ConditionCalledByEntry,
    ConditionNot,
    ConditionScriptHash,
    Signer,
    WitnessRule,
    WitnessRuleAction,
    WitnessScope,
)

from connect.cosigners import unsigned
from miniapp_platform.accounts import Accounts
from tocsin.connect.neo.describe import Description, Names, describe
from tocsin.connect.neo.disassembly import PlainCall, Use, calls_in
from tocsin.connect.neo.exchange import PartlySigned
from tocsin.connect.neo.multisig import multisig_of
from tocsin.connect.neo.network import FeeLimits
from tocsin.connect.neo.payload import Payload, read_payload
from tocsin.connect.neo.script import script_for
from tocsin.connect.ports import (
    Argument,
    Execution,
    Invocation,
    Manifest,
    ManifestMethod,
    ParameterType,
    QuorumReading,
)
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash, address_of, script_hash

GUARDIANS = Accounts.derive(b"a seed of no chain").guardians
ADMIN = multisig_of(2, [bytes.fromhex(each.public_key_hex) for each in GUARDIANS])
REGISTRY, OTHER = script_hash("0x" + "11" * 20), script_hash("0x" + "22" * 20)
GAS = script_hash("0xd2a4cff31913016155e38e474a2c06d08be276cf")
CALL = "41627d5b52"


def transaction(script: bytes, *signers: Signer, attributes: Sequence[HighPriorityAttribute] = ()) -> Payload:
    """Read from what neo-mamba writes."""
    made = Transaction(
        version=0,
        nonce=0x01020304,
        system_fee=5,
        network_fee=6,
        valid_until_block=70_000,
        attributes=list(attributes),
        signers=list(signers),
        script=script,
    )
    made.witnesses = []
    raw = made.to_array()
    assert raw.endswith(b"\x00")
    payload = read_payload(raw[:-1])
    assert payload.tx == f"0x{made.hash()}"
    return payload


def signer(scope: WitnessScope = WitnessScope.CALLED_BY_ENTRY) -> Signer:
    return Signer(UInt160.from_string(ADMIN.account), scope)


@dataclass
class Chain:
    """A chain reader that knows manifests, or nobody answers."""

    manifests: Mapping[ScriptHash, Manifest] = field(default_factory=dict)
    answers: bool = True
    asked: list[ScriptHash] = field(default_factory=list)

    async def manifest(self, contract: ScriptHash) -> Manifest:
        self.asked.append(contract)
        if not self.answers:
            raise Unavailable("no-endpoint-answered", "no endpoint")
        if contract not in self.manifests:
            raise Refused("contract-unknown", "no contract")
        return self.manifests[contract]

    async def height(self) -> int:
        raise NotImplementedError

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[object] = ()) -> Execution:
        raise NotImplementedError

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[object] = (), *, at_least: int
    ) -> QuorumReading:
        raise NotImplementedError


def manifest(contract: ScriptHash, name: str, method: str, *parameters: tuple[str, ParameterType]) -> Manifest:
    return Manifest(contract, name, (ManifestMethod(method, parameters, ParameterType.BOOLEAN, safe=False),))


NAMES = Names(
    contracts={REGISTRY: "pause_registry"},
    accounts={ADMIN.account: "admin"},
    keys={GUARDIANS[0].public_key_hex: "grace"},
)
CHAIN = Chain(
    {
        REGISTRY: manifest(
            REGISTRY, "PauseRegistry", "setPaused", ("paused", ParameterType.BOOLEAN), ("app_id", ParameterType.STRING)
        ),
        GAS: manifest(
            GAS,
            "GasToken",
            "transfer",
            ("from", ParameterType.HASH160),
            ("to", ParameterType.HASH160),
            ("amount", ParameterType.INTEGER),
            ("data", ParameterType.ANY),
        ),
    }
)
SET_PAUSED = Invocation(
    REGISTRY, "setPaused", (Argument(ParameterType.BOOLEAN, False), Argument(ParameterType.STRING, "shop"))
)


async def described(script: bytes, *signers: Signer, chain: Chain | None = CHAIN) -> Description:
    partly = PartlySigned.of(transaction(script, *(signers or (signer(),))), 7, [ADMIN])
    return await describe(partly, NAMES, chain)


def test_a_transaction_is_read_as_neo_mamba_writes_it() -> None:
    contracts = [UInt160.from_string(REGISTRY)]
    groups = [ECPoint.deserialize_from_bytes(bytes.fromhex(GUARDIANS[0].public_key_hex))]
    condition = ConditionAnd(
        [
            ConditionNot(ConditionCalledByEntry()),
            ConditionScriptHash(contracts[0]),
            ConditionCalledByContract(contracts[0]),
        ]
    )
    everything = Signer(
        UInt160.from_string(ADMIN.account),
        WitnessScope.CALLED_BY_ENTRY
        | WitnessScope.CUSTOM_CONTRACTS
        | WitnessScope.CUSTOM_GROUPS
        | WitnessScope.WITNESS_RULES,
        allowed_contracts=contracts,
        allowed_groups=groups,
        rules=[WitnessRule(WitnessRuleAction.DENY, condition)],
    )
    payload = transaction(b"\x40" * 300, everything, attributes=[HighPriorityAttribute()])
    assert (payload.nonce, payload.system_fee.fractions, payload.network_fee.fractions) == (0x01020304, 5, 6)
    assert payload.valid_until_block == 70_000
    assert payload.script == b"\x40" * 300
    assert [attribute.kind for attribute in payload.attributes] == ["HighPriority"]
    (read,) = payload.signers
    assert read.account == ADMIN.account
    assert read.contracts == (REGISTRY,)
    assert read.groups == (GUARDIANS[0].public_key_hex,)
    # Written by the library itself, for nodes.
    library = everything.to_json()
    assert read.as_json()["rules"] == library["rules"]
    assert str(library["scopes"]).replace(" ", "").split(",") == list(read.scope_names)


HEAD = bytes(21) + (9).to_bytes(4, "little")
"""Version, nonce, fees and expiry."""
BODY = b"\x01" + bytes(20) + b"\x01" + b"\x00" + b"\x01\x40"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        HEAD + BODY[:-1],
        HEAD + BODY + b"\x00",
        b"\x01" + HEAD[1:] + BODY,
        HEAD + b"\x00\x00\x01\x40",
        HEAD + b"\x01" + bytes(20) + b"\x81" + b"\x00\x01\x40",
        HEAD + b"\x01" + bytes(20) + b"\x02" + b"\x00\x01\x40",
        HEAD + b"\x02" + (bytes(20) + b"\x01") * 2 + b"\x00\x01\x40",
        HEAD + b"\x11" + bytes(21 * 17) + b"\x00\x01\x40",
        HEAD + BODY[:-2] + b"\x00",
        HEAD + BODY[:-2] + b"\xfd\x01\x00\x40",
        HEAD + BODY[:-2] + b"\xfe\x01\x00\x00\x00\x40",
        HEAD + BODY[:-2] + b"\xff" + (1).to_bytes(8, "little") + b"\x40",
        HEAD + BODY[:-2] + b"\xff" + b"\xff" * 8,
        HEAD + BODY[:-3] + b"\x01\x77" + b"\x01\x40",
        HEAD[:5] + b"\xff" * 16 + HEAD[21:] + BODY,
        HEAD + b"\x01" + bytes(20) + b"\x40\x01\x01" + b"\x01" * 9 + b"\x00\x00\x01\x40",
        bytes(200_000),
    ],
    ids=range(18),
)
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    assert read_payload(HEAD + BODY).script == b"\x40"
    with pytest.raises(Refused) as refused:
        read_payload(raw)
    assert refused.value.code == "transaction-unreadable"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail: bytes) -> None:
    try:
        payload = read_payload(HEAD + tail)
    except Refused:
        return
    assert payload.raw == HEAD + tail


_integers = st.integers(-(2**255), 2**255 - 1).map(lambda value: (Argument(ParameterType.INTEGER, value), value))
_booleans = st.booleans().map(lambda value: (Argument(ParameterType.BOOLEAN, value), value))
_bytes = st.binary(max_size=300).map(lambda value: (Argument(ParameterType.BYTE_ARRAY, value), value))
_nothing = st.just((Argument(ParameterType.ANY, None), None))
_arguments = st.recursive(
    _integers | _booleans | _bytes | _nothing,
    lambda inner: st.lists(inner, max_size=18).map(
        lambda items: (
            Argument(ParameterType.ARRAY, tuple(argument for argument, _ in items)),
            tuple(value for _, value in items),
        )
    ),
    max_leaves=20,
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.lists(_arguments, max_size=20)), min_size=1, max_size=4))
def test_the_calls_that_were_written_into_a_script_are_read_from_it(
    written: list[tuple[str, list[tuple[Argument, object]]]],
) -> None:
    calls = [Invocation(REGISTRY, name, tuple(argument for argument, _ in given)) for name, given in written]
    read = calls_in(script_for(calls))
    assert read is not None
    assert [(call.method, call.arguments) for call in read] == [
        (name, tuple(value for _, value in given)) for name, given in written
    ]


@given(st.binary(max_size=60))
def test_any_script_is_read_or_not(script: bytes) -> None:
    calls_in(script)
    calls_in(script_for([SET_PAUSED]) + script)


def test_what_wallets_do_with_an_answer_is_read() -> None:
    script = script_for([SET_PAUSED])
    asserted, dropped = calls_in(script + b"\x39") or (), calls_in(script + b"\x45" + script) or ()
    assert [call.use for call in asserted] == [Use.ASSERTED]
    assert [call.use for call in dropped] == [Use.DROPPED, Use.KEPT]
    assert calls_in(script + b"\x40") == calls_in(script)


@pytest.mark.parametrize(
    "script",
    [
        "",
        "11",
        "40",
        CALL,
        "c21f0c016d0c14" + "11" * 19 + CALL,
        "c21f0c016d0c13" + "11" * 19 + CALL,
        "c21f0c01ff0c14" + "11" * 20 + CALL,
        "101f0c016d0c14" + "11" * 20 + CALL,
        "c21f0c016d0c14" + "11" * 20 + "4100000000",
        "c21f0c016d0c14" + "11" * 20 + CALL + "11",
        "11c21f0c016d0c14" + "11" * 20 + CALL,
        "c21f0c016d0c14" + "11" * 20 + CALL + "11c01f0c016d0c14" + "11" * 20 + CALL,
        "c21f0c016d0c14" + "11" * 20 + CALL + "2202c21f0c016d0c14" + "22" * 20 + CALL,
        "2200c21f0c016d0c14" + "11" * 20 + CALL,
        "40c21f0c016d0c14" + "11" * 20 + CALL,
        "110c0161110c016112be11c01f0c016d0c14" + "11" * 20 + CALL,
        "0c01610c0161" + "1f" * 70,
    ],
    ids=range(17),
)
def test_a_script_that_is_more_than_calls_is_not_put_into_words(script: str) -> None:
    assert calls_in(bytes.fromhex(script)) is None


def test_a_plain_call_without_arguments_is_read() -> None:
    script = bytes.fromhex("c21f0c016d0c14" + "11" * 20 + CALL)
    assert calls_in(script) == (PlainCall(REGISTRY, "m", ()),)


async def test_a_call_is_told_by_names_with_the_hash_beside_them() -> None:
    description = await described(script_for([SET_PAUSED]))
    assert description.calls is not None
    (call,) = description.calls
    assert str(call) == 'pause_registry.setPaused(paused: false, app_id: "shop")'
    assert (call.contract, call.configured, call.calls_itself) == (REGISTRY, "pause_registry", "PauseRegistry")
    assert description.warnings == ()


async def test_a_transfer_is_told_in_gas_and_accounts() -> None:
    arguments = (
        Argument(ParameterType.HASH160, ADMIN.account),
        Argument(ParameterType.HASH160, OTHER),
        Argument(ParameterType.INTEGER, 150_000_000),
        Argument(ParameterType.ANY, None),
    )
    description = await described(script_for([Invocation(GAS, "transfer", arguments)]))
    assert description.calls is not None
    shown = {argument.name: argument.text for argument in description.calls[0].arguments}
    assert shown["from"] == f"{ADMIN.account} ({address_of(ADMIN.account)}, admin)"
    assert shown["to"] == f"{OTHER} ({address_of(OTHER)})"
    assert (shown["amount"], shown["data"]) == ("1.5 GAS", "null")


async def test_without_a_network_hashes_and_bytes_are_shown() -> None:
    for chain in (None, silent := Chain(answers=False)):
        description = await described(script_for([SET_PAUSED, replace(SET_PAUSED, contract=OTHER)]), chain=chain)
        assert description.calls is not None
        assert [call.contract for call in description.calls] == [REGISTRY, OTHER]
        assert [a.text for a in description.calls[1].arguments] == ["false", '"shop"']
        assert any("no endpoint answered" in warning for warning in description.warnings)
    assert len(silent.asked) == 1


async def test_a_global_scope_is_flagged_loudly() -> None:
    description = await described(script_for([SET_PAUSED]), signer(WitnessScope.GLOBAL))
    assert any(warning.startswith("GLOBAL SCOPE") and "admin" in warning for warning in description.warnings)
    assert "ANY CONTRACT" in description.signers[0].scope


async def test_a_script_without_words_is_shown_raw_with_a_warning() -> None:
    description = await described(bytes.fromhex("1140"))
    assert description.calls is None
    assert description.as_json()["script"] == "1140"
    assert any("NOT A PLAIN SEQUENCE" in warning for warning in description.warnings)


async def test_what_would_fail_and_who_else_may_use_the_witness_are_warned_of() -> None:
    calls = [replace(SET_PAUSED, arguments=()), replace(SET_PAUSED, contract=OTHER)]
    wide = replace_contracts(signer(WitnessScope.CUSTOM_CONTRACTS), GAS)
    warnings = " / ".join((await described(script_for(calls), wide)).warnings)
    assert "has no method setPaused with 0 argument(s)" in warnings
    assert f"no contract stands at {OTHER}" in warnings
    assert f"may also be used by {GAS}" in warnings


def replace_contracts(signer: Signer, *contracts: ScriptHash) -> Signer:
    signer.allowed_contracts = [UInt160.from_string(contract) for contract in contracts]
    return signer


async def test_fees_above_the_limits_are_warned_of() -> None:
    partly = PartlySigned.of(transaction(script_for([SET_PAUSED]), signer()), 7, [ADMIN])
    modest, strict = FeeLimits(), FeeLimits(system_max=Gas(4))
    assert (await describe(partly, NAMES, CHAIN, modest)).warnings == ()
    (warning,) = (await describe(partly, NAMES, CHAIN, strict)).warnings
    assert "would lose 0.00000011 GAS" in warning


async def test_nothing_in_a_transaction_reaches_the_terminal_as_a_control_character() -> None:
    nasty = "shop\x1b[2J\u202egnp\n"
    call = Invocation(OTHER, nasty, (Argument(ParameterType.STRING, nasty),))
    chain = Chain({OTHER: manifest(OTHER, nasty, nasty, (nasty, ParameterType.STRING))})
    description = await described(script_for([call]), chain=chain)
    assert description.calls is not None
    shown = f"{description.calls[0]} {description.calls[0].calls_itself} {' '.join(description.warnings)}"
    assert shown.isprintable()
    assert "\\u001b" in shown


async def test_who_has_signed_is_told_with_names() -> None:
    description = await describe(unsigned(ADMIN, script_for([SET_PAUSED])), NAMES, CHAIN)
    (admin,) = description.signers
    assert (admin.name, admin.needed, admin.missing) == ("admin", 2, 2)
    assert {(key, name) for key, name, _ in admin.members} == {
        (each.public_key_hex, "grace" if each == GUARDIANS[0] else None) for each in GUARDIANS
    }

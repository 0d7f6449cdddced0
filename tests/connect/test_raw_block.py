"""Blocks read from bytes: what is read is what the transactions are, and nothing else passes."""

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo3.core.cryptography import ECPoint
from neo3.core.types import UInt160, UInt256
from neo3.network.payloads.transaction import (
    HighPriorityAttribute,
    OracleResponse,
    OracleResponseCode,
    Transaction,
    TransactionAttribute,
)
from neo3.network.payloads.verification import (
    ConditionAnd,
    ConditionBool,
    ConditionCalledByContract,
    ConditionCalledByEntry,
    ConditionNot,
    ConditionOr,
    ConditionScriptHash,
    Signer,
    Witness,
    WitnessCondition,
    WitnessRule,
    WitnessRuleAction,
    WitnessScope,
)

from tocsin.connect.neo.raw_block import read_block

GROUP = ECPoint.deserialize_from_bytes(
    bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
)
TIME_MS = 1_700_000_000_123
HEIGHT = 4_711

accounts = st.binary(min_size=20, max_size=20).map(UInt160)
scripts = st.integers(1, 700).map(lambda length: b"\x40" * length)
conditions: st.SearchStrategy[WitnessCondition] = st.recursive(
    st.booleans().map(ConditionBool)
    | accounts.map(ConditionScriptHash)
    | accounts.map(ConditionCalledByContract)
    | st.just(ConditionCalledByEntry()),
    lambda inner: (
        inner.map(ConditionNot)
        | st.lists(inner, min_size=1, max_size=3).map(ConditionAnd)
        | st.lists(inner, min_size=1, max_size=3).map(ConditionOr)
    ),
    max_leaves=3,
)


def _depth(condition: WitnessCondition) -> int:
    match condition:
        case ConditionNot():
            return 1 + _depth(condition.expression)
        case ConditionAnd() | ConditionOr():
            return 1 + max(_depth(each) for each in condition.expressions)
        case _:
            return 0


@st.composite
def signers(draw: st.DrawFn) -> Signer:
    rules = [
        WitnessRule(WitnessRuleAction.ALLOW, condition)
        for condition in draw(st.lists(conditions.filter(lambda c: _depth(c) <= 2), max_size=2))
    ]
    contracts = draw(st.lists(accounts, max_size=2))
    groups = [GROUP] * draw(st.integers(0, 1))
    scope = WitnessScope.CALLED_BY_ENTRY
    for flag, present in (
        (WitnessScope.CUSTOM_CONTRACTS, contracts),
        (WitnessScope.CUSTOM_GROUPS, groups),
        (WitnessScope.WITNESS_RULES, rules),
    ):
        scope = scope | flag if present else scope
    return Signer(draw(accounts), scope, contracts, groups, rules)


attributes: st.SearchStrategy[TransactionAttribute] = st.just(HighPriorityAttribute()) | st.binary(max_size=300).map(
    lambda result: OracleResponse(7, OracleResponseCode.SUCCESS, result)
)


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    signed = draw(st.lists(signers(), min_size=1, max_size=3, unique_by=lambda signer: signer.account))
    return Transaction(
        version=0,
        nonce=draw(st.integers(0, 2**32 - 1)),
        system_fee=draw(st.integers(0, 10**12)),
        network_fee=draw(st.integers(0, 10**12)),
        valid_until_block=draw(st.integers(1, 10**6)),
        attributes=draw(st.lists(attributes, max_size=2)),
        signers=signed,
        script=draw(scripts),
        witnesses=[Witness(b"\x0c" * draw(st.integers(0, 300)), b"\x41") for _ in signed],
    )


def serialised(content: Sequence[Transaction]) -> bytes:
    header = struct.pack(
        "<I32s32sQQIB20s",
        0,
        b"\1" * 32,
        root([t.hash().to_array() for t in content]),
        TIME_MS,
        5,
        HEIGHT,
        0,
        b"\2" * 20,
    )
    count = bytes([len(content)])
    return header + b"\x01\x02ab\x03xyz" + count + b"".join(each.to_array() for each in content)


def root(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return bytes(UInt256.zero().to_array())
    if len(hashes) == 1:
        return hashes[0]
    pairs = [(hashes[i], hashes[min(i + 1, len(hashes) - 1)]) for i in range(0, len(hashes), 2)]
    return root([hashlib.sha256(hashlib.sha256(a + b).digest()).digest() for a, b in pairs])


@given(st.lists(transactions(), max_size=5))
def test_hashes_and_signers_are_those_of_the_transactions(content: list[Transaction]) -> None:
    block = read_block(serialised(content))
    assert (block.height, block.time) == (HEIGHT, datetime.fromtimestamp(TIME_MS / 1000, UTC))
    assert block.transactions == tuple(
        (f"0x{tx.hash()}", tuple(f"0x{signer.account}" for signer in tx.signers)) for tx in content
    )


@given(st.lists(transactions(), min_size=1, max_size=3), st.data())
def test_bytes_that_are_cut_or_changed_where_they_are_signed_do_not_pass(
    content: list[Transaction], data: st.DataObject
) -> None:
    raw = serialised(content)
    with pytest.raises(ValueError, match=r"."):
        read_block(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(ValueError, match=r"."):
        read_block(raw + b"\0")
    signed = content[0].to_array()
    place = raw.index(signed) + data.draw(st.integers(0, 24))  # its version, nonce, fees and last block
    changed = bytearray(raw)
    changed[place] ^= 1
    with pytest.raises(ValueError, match="not those of the block's header"):
        read_block(bytes(changed))


@given(st.binary(max_size=400))
def test_anything_else_is_no_block(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_block(raw)

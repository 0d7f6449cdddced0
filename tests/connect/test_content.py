"""The hash of a pending transaction is that of its content: as another implementation of the protocol computes it."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from neo3.core.cryptography import ECPoint
from neo3.core.types import UInt160
from neo3.network.payloads.transaction import HighPriorityAttribute, OracleResponse, OracleResponseCode, Transaction
from neo3.network.payloads.verification import (
    ConditionAnd,
    ConditionBool,
    ConditionCalledByContract,
    ConditionCalledByEntry,
    ConditionCalledByGroup,
    ConditionGroup,
    ConditionNot,
    ConditionOr,
    ConditionScriptHash,
    Signer,
    Witness,
    WitnessRule,
    WitnessRuleAction,
    WitnessScope,
)

from tocsin.connect.neo.attributes import ConflictsAttribute, NotValidBeforeAttribute
from tocsin.connect.neo.content import Unserialisable, imprint
from tocsin.connect.neo.wire import PENDING
from tocsin.domain.hashes import TxHash

ONE, OTHER = "0x" + "11" * 20, "0x" + "2f" * 20
TX = TxHash("0x" + "5c" * 32)
POINT = "03b209fd4f53a7170ea4444e0cb0a6bb6a53c2bd016926989cf85f9b0fba17a70c"
GROUP = ECPoint.deserialize_from_bytes(bytes.fromhex(POINT))
ACCOUNT = UInt160.from_string(ONE)
CONTRACTS = [UInt160.from_string(ONE), UInt160.from_string(OTHER)]
EVERYTHING = ConditionAnd(
    [
        ConditionOr([ConditionScriptHash(CONTRACTS[1]), ConditionGroup(GROUP)]),
        ConditionNot(ConditionBool(False)),
        ConditionCalledByEntry(),
        ConditionCalledByContract(CONTRACTS[0]),
        ConditionCalledByGroup(GROUP),
    ]
)
EVERYTHING_JSON: dict[str, Any] = {
    "type": "And",
    "expressions": [
        {"type": "Or", "expressions": [{"type": "ScriptHash", "hash": OTHER}, {"type": "Group", "group": POINT}]},
        {"type": "Not", "expression": {"type": "Boolean", "expression": False}},
        {"type": "CalledByEntry"},
        {"type": "CalledByContract", "hash": ONE},
        {"type": "CalledByGroup", "group": POINT},
    ],
}
RULES = [WitnessRule(WitnessRuleAction.DENY, ConditionBool(True)), WitnessRule(WitnessRuleAction.ALLOW, EVERYTHING)]
RULES_JSON = [
    {"action": "Deny", "condition": {"type": "Boolean", "expression": True}},
    {"action": "Allow", "condition": EVERYTHING_JSON},
]
CUSTOM = WitnessScope.CALLED_BY_ENTRY | WitnessScope.CUSTOM_CONTRACTS | WitnessScope.CUSTOM_GROUPS

SIGNERS: list[tuple[Signer, dict[str, Any]]] = [
    (Signer(ACCOUNT, WitnessScope.NONE), {"scopes": "None"}),
    (Signer(ACCOUNT, WitnessScope.GLOBAL), {"scopes": "Global"}),
    (Signer(ACCOUNT, WitnessScope.CALLED_BY_ENTRY), {"scopes": "CalledByEntry"}),
    (
        Signer(ACCOUNT, CUSTOM, allowed_contracts=CONTRACTS, allowed_groups=[GROUP]),
        {
            "scopes": "CalledByEntry, CustomContracts, CustomGroups",
            "allowedcontracts": [ONE, OTHER],
            "allowedgroups": [POINT],
        },
    ),
    (Signer(ACCOUNT, WitnessScope.WITNESS_RULES, rules=RULES), {"scopes": "WitnessRules", "rules": RULES_JSON}),
]
ATTRIBUTES: list[tuple[Any, dict[str, Any]]] = [
    (HighPriorityAttribute(), {"type": "HighPriority"}),
    (
        OracleResponse(2**40, OracleResponseCode.NOT_FOUND, b"answer"),
        {"type": "OracleResponse", "id": 2**40, "code": "NotFound", "result": base64.b64encode(b"answer").decode()},
    ),
    (ConflictsAttribute.of(TX), {"type": "Conflicts", "hash": TX}),
    (NotValidBeforeAttribute.of(1_000_000), {"type": "NotValidBefore", "height": 1_000_000}),
]


def both(
    signers: Sequence[tuple[Signer, dict[str, Any]]],
    attributes: Sequence[tuple[Any, dict[str, Any]]] = (),
    script: bytes = b"\x40",
) -> tuple[Transaction, dict[str, Any]]:
    """A transaction as neo-mamba has it, and as a node tells of it."""
    transaction = Transaction(
        version=0,
        nonce=4_000_000_000,
        system_fee=123_456,
        network_fee=7_890_123,
        valid_until_block=5_000,
        signers=[signer for signer, _ in signers],
        attributes=[attribute for attribute, _ in attributes],
        script=script,
        witnesses=[Witness(b"\x0c\x40" + bytes(64), b"\x0c\x21" + bytes(33)) for _ in signers],
    )
    told = {
        "hash": f"0x{transaction.hash()}",
        "size": len(transaction.to_array()),
        "version": 0,
        "nonce": 4_000_000_000,
        "sysfee": "123456",
        "netfee": "7890123",
        "validuntilblock": 5_000,
        "signers": [{"account": ONE, **told} for _, told in signers],
        "attributes": [told for _, told in attributes],
        "script": base64.b64encode(script).decode(),
        "witnesses": [
            {
                "invocation": base64.b64encode(witness.invocation_script).decode(),
                "verification": base64.b64encode(witness.verification_script).decode(),
            }
            for witness in transaction.witnesses
        ],
    }
    return transaction, told


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda each: each[1]["scopes"])
def test_every_scope_of_a_signer_counts(signer: tuple[Signer, dict[str, Any]]) -> None:
    transaction, told = both([signer])
    found = imprint(PENDING.validate_python(told))
    assert (found.tx, found.size) == (told["hash"], len(transaction.to_array()))


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda each: each[1]["type"])
def test_every_attribute_counts(attribute: tuple[Any, dict[str, Any]]) -> None:
    _, told = both(SIGNERS[:1], [attribute])
    assert imprint(PENDING.validate_python(told)).tx == told["hash"]


@pytest.mark.parametrize("length", [0, 252, 253, 65_535])
def test_a_script_of_any_length_counts(length: int) -> None:
    transaction, told = both(SIGNERS[:2], script=bytes(length))
    found = imprint(PENDING.validate_python(told))
    assert (found.tx, found.size, found.script) == (told["hash"], len(transaction.to_array()), bytes(length))


@pytest.mark.parametrize(
    "change",
    [
        {"script": base64.b64encode(b"\x41").decode()},
        {"netfee": "7890124"},
        {"sysfee": "1"},
        {"nonce": 1},
        {"validuntilblock": 5_001},
        {"signers": [{"account": OTHER, "scopes": "None"}]},
        {"attributes": [{"type": "HighPriority"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_content_has_another_hash(change: dict[str, Any]) -> None:
    _, told = both(SIGNERS[:1])
    assert imprint(PENDING.validate_python(told | change)).tx != told["hash"]


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": [{"type": "NewerThanThis"}]},
        {"attributes": [{"type": "Conflicts"}]},
        {"attributes": [{"type": "NotValidBefore", "height": -1}]},
        {"signers": [{"account": ONE, "scopes": "Everything"}]},
        {
            "signers": [
                {"account": ONE, "scopes": "WitnessRules", "rules": [{"action": "Allow", "condition": {"type": "?"}}]}
            ]
        },
        {"signers": [{"account": ONE, "scopes": "WitnessRules", "rules": ["Allow"]}]},
        {"script": "no base64"},
        {"nonce": 2**32},
    ],
    ids=str,
)
def test_what_is_not_understood_is_said_to_be_so(change: dict[str, Any]) -> None:
    _, told = both(SIGNERS[:1])
    with pytest.raises(Unserialisable):
        imprint(PENDING.validate_python(told | change))


def test_conditions_that_nest_without_end_are_not_followed() -> None:
    condition: dict[str, Any] = {"type": "CalledByEntry"}
    for _ in range(50):
        condition = {"type": "Not", "expression": condition}
    rule = {"action": "Allow", "condition": condition}
    _, told = both(SIGNERS[:1])
    told["signers"] = [{"account": ONE, "scopes": "WitnessRules", "rules": [rule]}]
    with pytest.raises(Unserialisable):
        imprint(PENDING.validate_python(told))


def test_the_added_attributes_are_read_back_from_bytes() -> None:
    transaction, _ = both(SIGNERS[:1], ATTRIBUTES[2:])
    read = Transaction.deserialize_from_bytes(transaction.to_array())
    assert read.attributes == [ConflictsAttribute.of(TX), NotValidBeforeAttribute.of(1_000_000)]

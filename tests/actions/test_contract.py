"""`contract.read` and `contract.invoke`, and how answers are shown."""

import pytest

from actions.platform import OPERATOR, REGISTRY, SHOP, Platform, platform
from tocsin.actions.contract import Caller, CallInput, ContractInvoke, ContractRead, is_true, shown
from tocsin.actions.protocol import Receipt
from tocsin.connect.ports import StackValue
from tocsin.domain.actions import Autonomy, QuorumResult
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Failed, Refused, Unavailable

RUN = "INC-2025-0001/3.0.1"
READ: dict[str, Json] = {"contract": REGISTRY, "method": "isPaused", "args": ["shop"]}
SET_PRICE: dict[str, Json] = {"contract": SHOP, "method": "setPrice", "args": ["7"]}


@pytest.fixture
def scene() -> Platform:
    return platform()


# contract.read


async def test_a_read_acts_by_itself_sends_nothing_and_says_what_a_quorum_answers(scene: Platform) -> None:
    action = ContractRead(scene.chain)
    assert (action.autonomy, action.approvals, action.changes) == (Autonomy.ACT, 0, False)
    given = await action.bind(READ)
    preflight = await action.preflight(given)
    assert (preflight.summary, preflight.resources) == ("read PauseRegistry.isPaused(shop)", ())
    receipt = await action.run(RUN, given, preflight.before)
    assert receipt.tx is None
    assert await action.recall(RUN, given, preflight.before) == receipt
    verification = await action.verify(RUN, given, preflight.before, receipt)
    assert (verification.holds, verification.summary) == (True, "PauseRegistry.isPaused(shop) → 0")
    assert verification.quorum == QuorumResult(2, 3, 3)
    assert not scene.chain.sent


async def test_a_read_that_would_fault_is_refused(scene: Platform) -> None:
    action = ContractRead(scene.chain)
    given = await action.bind(READ)
    scene.chain.fault(REGISTRY, "isPaused", "storage is gone")
    with pytest.raises(Refused, match="would fail: storage is gone"):
        await action.preflight(given)


async def test_a_read_that_faults_by_now_has_failed(scene: Platform) -> None:
    action = ContractRead(scene.chain)
    given = await action.bind(READ)
    scene.chain.fault(REGISTRY, "isPaused", "storage is gone")
    with pytest.raises(Failed, match="storage is gone"):
        await action.verify(RUN, given, {}, Receipt())


async def test_a_read_on_less_than_a_quorum_is_no_answer(scene: Platform) -> None:
    action = ContractRead(scene.chain)
    given = await action.bind(READ)
    scene.chain.answering = 1
    with pytest.raises(Unavailable):
        await action.verify(RUN, given, {}, Receipt())


async def test_a_read_leaves_nothing_to_take_back(scene: Platform) -> None:
    action = ContractRead(scene.chain)
    with pytest.raises(Refused, match="nothing to take back"):
        await action.compensate(RUN, await action.bind(READ), {}, Receipt())


# contract.invoke


def invoke(scene: Platform, purpose: str = "invoke") -> ContractInvoke:
    return ContractInvoke(scene.caller(purpose))


async def test_an_invocation_asks_and_needs_a_person(scene: Platform) -> None:
    action = invoke(scene)
    assert (action.autonomy, action.approvals, action.changes) == (Autonomy.ASK, 1, True)


async def test_an_invocation_is_tried_sent_once_and_verified(scene: Platform) -> None:
    action = invoke(scene)
    given = await action.bind(SET_PRICE)
    preflight = await action.preflight(given)
    assert preflight.summary == "call Shop.setPrice(7) (about 0.01 GAS)"
    assert preflight.resources == (f"contract:{SHOP}",)
    assert await action.recall(RUN, given, {}) is None
    receipt = await action.run(RUN, given, {})
    assert await action.run(RUN, given, {}) == await action.recall(RUN, given, {}) == receipt
    scene.chain.mine()
    verification = await action.verify(RUN, given, {}, receipt)
    assert (verification.holds, verification.summary) == (True, "Shop.setPrice(7) HALTed in block 1")
    assert scene.chain.state(SHOP)[b"price"] == 7
    assert list(scene.chain.sent) == [RUN]


async def test_an_invocation_that_would_answer_false_is_refused(scene: Platform) -> None:
    action = invoke(scene, "stranger")
    with pytest.raises(Refused, match="would run and answer false"):
        await action.preflight(await action.bind(SET_PRICE))


async def test_a_zero_is_no_refusal_where_the_method_answers_a_number(scene: Platform) -> None:
    action = invoke(scene)
    given = await action.bind(
        {"contract": "0xd2a4cff31913016155e38e474a2c06d08be276cf", "method": "balanceOf", "args": [OPERATOR]}
    )
    assert (await action.preflight(given)).summary.startswith("call GasToken.balanceOf")


async def test_an_invocation_that_faulted_in_its_block_has_failed(scene: Platform) -> None:
    action = invoke(scene)
    given = await action.bind(SET_PRICE)
    receipt = await action.run(RUN, given, {})
    scene.chain.fault(SHOP, "setPrice", "closed")
    scene.chain.mine()
    with pytest.raises(Failed, match="closed") as failed:
        await action.verify(RUN, given, {}, receipt)
    assert failed.value.code == "call-faulted"


async def test_what_was_never_sent_has_failed(scene: Platform) -> None:
    action = invoke(scene)
    with pytest.raises(Failed, match="no transaction to wait for"):
        await action.verify(RUN, await action.bind(SET_PRICE), {}, Receipt())


async def test_an_invocation_without_a_known_inverse_is_not_taken_back(scene: Platform) -> None:
    action = invoke(scene)
    with pytest.raises(Refused, match=r"does not know how to take Shop\.setPrice"):
        await action.compensate(RUN, await action.bind(SET_PRICE), {}, Receipt())


async def test_a_call_may_be_bound_without_arguments(scene: Platform) -> None:
    given = await invoke(scene).bind({"contract": SHOP, "method": "motd"})
    assert given == CallInput(given.call)
    assert given.call.arguments == ()


async def test_a_caller_speaks_for_one_purpose(scene: Platform) -> None:
    with pytest.raises(Refused, match="no key is configured for 'refill'"):
        await Caller(scene.chain, scene.chain, "refill").send(RUN, (await invoke(scene).bind(SET_PRICE)).call)


# Answers for people.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**200), str(-(2**200))),
        (b"fresh bread", "'fresh bread'"),
        (b"", "''"),
        (b"\x00\xff", "0x00ff"),
        ("\N{REPLACEMENT CHARACTER}".encode(), "0xefbfbd"),
        (b"line\nbreak", "0x6c696e650a627265616b"),
        ((1, (b"a", None)), "[1, ['a', null]]"),
    ],
)
def test_a_stack_value_is_shown_for_people(value: StackValue, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("value", [None, False, 0, b"", b"\x00\x00", ()])
def test_what_counts_as_false(value: StackValue) -> None:
    assert not is_true(value)


@pytest.mark.parametrize("value", [True, 1, -1, b"\x01", b"\x00\x01", (0,)])
def test_what_counts_as_true(value: StackValue) -> None:
    assert is_true(value)

"""GAS that leaves guarded contracts: what counts, for how long, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.vaults import HUB, MALLORY, OWNER, VAULT, WINDOW, mine, paying, rule, vaults
from fakes.chain import GAS, GENESIS, FakeChain, hash_bytes
from tocsin.connect.ports import Block, Invocation, Notification, StackValue
from tocsin.detect.outflow import OutflowRule, OutflowWatch, gas_transfers
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import canonical_bytes
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, address_of

SECOND = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    return GENESIS + timedelta(seconds=seconds)


async def see(chain: FakeChain, rules: OutflowRule | Sequence[OutflowRule], *blocks: Block) -> list[Detection]:
    watch = OutflowWatch([rules] if isinstance(rules, OutflowRule) else rules, chain)
    return [detection for block in blocks for detection in await watch.see(block)]


# Which movements there are.


def seen_in(chain: FakeChain, *values: StackValue, name: str = "Transfer", contract: ScriptHash = GAS) -> int:
    """How many GAS transfers are seen in a block whose one transaction announced this."""
    block = mine(chain, (VAULT, MALLORY, "1"))
    (transaction,) = block.transactions
    event = Notification(contract, name, values, transaction.tx)
    return len(list(gas_transfers(replace(block, transactions=(replace(transaction, notifications=(event,)),)))))


VAULT_BYTES, MALLORY_BYTES = hash_bytes(VAULT), hash_bytes(MALLORY)


def test_a_transfer_of_gas_is_seen_with_who_gave_and_who_got() -> None:
    chain = vaults()
    block = mine(chain, (VAULT, MALLORY, "2.5"), (HUB, OWNER, "1"))
    assert [(t.source, t.recipient, str(t.amount)) for t in gas_transfers(block)] == [
        (VAULT, MALLORY, "2.5"),
        (HUB, OWNER, "1"),
    ]
    assert [t.tx for t in gas_transfers(block)] == [each.tx for each in block.transactions]


@pytest.mark.parametrize(
    "values",
    [
        (None, VAULT_BYTES, 5),  # a mint
        (VAULT_BYTES, None, 5),  # a burn
        (VAULT_BYTES, VAULT_BYTES, 5),  # to itself
        (VAULT_BYTES, MALLORY_BYTES),
        (VAULT_BYTES, MALLORY_BYTES, b"5"),
    ],
)
def test_mints_burns_and_transfers_to_oneself_are_no_movements(values: tuple[StackValue, ...]) -> None:
    assert seen_in(vaults(), *values) == 0


def test_only_the_gas_contracts_own_transfers_count() -> None:
    values = (VAULT_BYTES, MALLORY_BYTES, 5)
    assert seen_in(vaults(), *values) == 1
    assert seen_in(vaults(), *values, name="Approval") == 0
    assert seen_in(vaults(), *values, contract=HUB) == 0


async def test_a_contract_that_pretends_a_transfer_is_not_believed() -> None:
    chain = vaults()
    chain.transact(MALLORY, Invocation(HUB, "pretend"))
    block = chain.mine()
    assert block.transactions[0].notifications
    assert not await see(chain, rule("true", VAULT, HUB), block)


async def test_what_a_faulted_transaction_announced_never_happened() -> None:
    chain = vaults()
    block = mine(chain, (VAULT, MALLORY, "500"))
    faulted = replace(block, transactions=tuple(replace(each, halted=False) for each in block.transactions))
    assert not await see(chain, rule("true"), faulted)
    chain.transact(MALLORY, paying((VAULT, MALLORY, "500"), "payThenFault"))
    assert not await see(chain, rule("true"), chain.mine())


# What is said of a movement.


async def test_a_detection_tells_the_whole_story() -> None:
    chain = vaults("100")
    block = mine(chain, (VAULT, MALLORY, "25"))
    (detection,) = await see(chain, rule('amount_ge(sum, "25")'), block)
    tx = block.transactions[0].tx
    assert detection.id == f"outflow:{VAULT}:{tx}"
    assert detection.key == f"smart-contract-exploit:{VAULT}"
    assert (detection.emergency, detection.symptom) == ("smart-contract-exploit", "Unusual fund movements")
    assert (detection.height, detection.observed_at) == (block.height, block.time)
    assert detection.summary == (
        f"25 GAS left vault within 60 s (25 % of what it held), now 25 GAS to {address_of(MALLORY)}"
    )
    assert detection.evidence == {
        "contract": "vault",
        "contract_hash": VAULT,
        "recipient": address_of(MALLORY),
        "recipient_known": False,
        "amount": "25",
        "sum": "25",
        "count": 1,
        "balance_before": "100",
        "share_percent": 25,
        "tx": tx,
        "condition": 'amount_ge(sum, "25")',
    }
    canonical_bytes(detection.evidence)


async def test_movements_add_up_to_the_one_that_tips() -> None:
    chain = vaults()
    blocks = [mine(chain, (VAULT, MALLORY, "10")) for _ in range(4)]
    (third, fourth) = await see(chain, rule('amount_ge(sum, "30")'), *blocks)
    assert (third.height, third.evidence["sum"], third.evidence["count"]) == (3, "30", 3)
    assert (fourth.height, fourth.evidence["sum"], fourth.evidence["count"]) == (4, "40", 4)


async def test_the_share_is_of_what_was_there_before_anything_left() -> None:
    chain = vaults("100")
    found: list[Detection] = []
    watch = OutflowWatch([rule("true")], chain)
    for _ in range(5):
        found += await watch.see(mine(chain, (VAULT, MALLORY, "20")))
    assert [d.evidence["share_percent"] for d in found] == [20, 40, 60, 80, 100]
    assert [d.evidence["balance_before"] for d in found] == ["100"] * 5


async def test_the_share_is_exact_within_one_block_too() -> None:
    chain = vaults("100")
    block = mine(chain, *[(VAULT, MALLORY, "20")] * 5)
    found = await see(chain, rule("true"), block)
    assert [d.evidence["share_percent"] for d in found] == [20, 40, 60, 80, 100]
    assert [d.id for d in await see(chain, rule("share_percent >= 50"), block)] == [d.id for d in found[2:]]


async def test_a_contract_that_held_nothing_that_can_be_seen_lost_everything() -> None:
    chain = vaults("10")
    block = mine(chain, (VAULT, MALLORY, "10"))
    chain.endow(VAULT, Gas(-(10**9)))
    (detection,) = await see(chain, rule("true"), block)
    assert detection.evidence["share_percent"] == 100


async def test_amounts_beyond_sixty_four_bits_are_exact() -> None:
    chain = vaults(str(10**22))
    block = mine(chain, (VAULT, MALLORY, str(10**21)))
    assert await see(chain, rule(f'amount_ge(sum, "{10**21}")'), block)
    assert not await see(chain, rule(f'amount_gt(sum, "{10**21}")'), block)


async def test_a_known_recipient_can_be_let_pass() -> None:
    chain = vaults()
    block = mine(chain, (VAULT, OWNER, "10"), (VAULT, MALLORY, "10"))
    watched = rule("!recipient_known", known=frozenset({OWNER}))
    (detection,) = await see(chain, watched, block)
    assert detection.evidence["recipient"] == address_of(MALLORY)


async def test_contracts_are_summed_and_detected_separately() -> None:
    chain = vaults()
    block = mine(chain, (VAULT, MALLORY, "10"), (HUB, MALLORY, "10"), (VAULT, MALLORY, "10"))
    (detection,) = await see(chain, rule('amount_ge(sum, "15")', VAULT, HUB), block)
    assert detection.evidence["contract"] == "vault"
    both = await see(chain, rule('amount_ge(sum, "10")', VAULT, HUB), block)
    assert {d.key for d in both} == {f"smart-contract-exploit:{VAULT}", f"smart-contract-exploit:{HUB}"}


async def test_a_contract_that_no_rule_watches_may_do_as_it_likes() -> None:
    chain = vaults()
    assert not await see(chain, rule("true", HUB), mine(chain, (VAULT, MALLORY, "10")))


async def test_rules_judge_separately() -> None:
    chain = vaults()
    rules = [rule("count >= 1", name="first"), rule("count >= 2", name="second", window=2 * SECOND)]
    blocks = [mine(chain, (VAULT, MALLORY, "1")) for _ in range(2)]
    found = await see(chain, rules, *blocks)
    assert [(d.rule, d.height) for d in found] == [("first", 1), ("first", 2), ("second", 2)]


async def test_a_transaction_tips_a_rule_once_whatever_it_moves() -> None:
    chain = vaults()
    chain.transact(MALLORY, paying((VAULT, MALLORY, "10")), paying((VAULT, MALLORY, "5")))
    (detection,) = await see(chain, rule("true"), chain.mine())
    assert (detection.evidence["sum"], detection.evidence["count"]) == ("15", 2)


async def test_a_condition_that_can_not_be_evaluated_goes_to_people_rather_than_past_them() -> None:
    chain = vaults()
    block = mine(chain, (VAULT, MALLORY, "10"))
    (detection,) = await see(chain, rule("10 / (count - 1) > 3"), block)
    assert "the rule's condition could not be evaluated (rule outflow: " in detection.summary
    assert "divide by zero" in detection.summary


# For how long.


@pytest.mark.parametrize(("age_s", "total"), [(59.999, "30"), (60, "20"), (61, "20")])
async def test_a_movement_leaves_the_window_when_it_is_as_old_as_the_window_is_long(age_s: float, total: str) -> None:
    chain = vaults()
    blocks = [mine(chain, (VAULT, MALLORY, "10"), at=at(seconds)) for seconds in (100, 130, 100 + age_s)]
    found = await see(chain, rule("true"), *blocks)
    assert found[-1].evidence["sum"] == total


async def test_time_is_the_blocks_own_however_late_they_are_seen() -> None:
    chain = vaults()
    blocks = [mine(chain, (VAULT, MALLORY, "10"), at=at(seconds)) for seconds in (0, 61, 122)]
    assert not await see(chain, rule('amount_gt(sum, "10")'), *blocks)


payments = st.lists(
    st.tuples(st.sampled_from([VAULT, HUB]), st.sampled_from([MALLORY, OWNER]), st.integers(0, 10**10)), max_size=3
)
histories = st.lists(st.tuples(st.sampled_from([0, 1, 15, 30, 59, 60, 61, 200]), payments), max_size=12)


@settings(deadline=None, max_examples=60)
@given(histories, st.data())
async def test_windows_do_what_adding_up_by_hand_does(
    history: list[tuple[int, list[tuple[ScriptHash, ScriptHash, int]]]], data: st.DataObject
) -> None:
    chain = vaults(str(10**6), str(10**6))
    watch = OutflowWatch([rule("true", VAULT, HUB)], chain)
    left: list[tuple[float, ScriptHash, int]] = []
    seconds = 0
    for pause, moved in history:
        seconds += pause
        block = mine(chain, *((c, r, str(Gas(amount))) for c, r, amount in moved), at=at(seconds))
        expected: list[tuple[str, int]] = []
        for contract, _, amount in moved:
            left.append((seconds, contract, amount))
            window = [a for when, c, a in left if c == contract and seconds - WINDOW.total_seconds() < when]
            expected.append((str(Gas(sum(window))), len(window)))
        for _ in range(data.draw(st.integers(1, 2), "times seen")):
            found = await watch.see(block)
            assert [(d.evidence["sum"], d.evidence["count"]) for d in found] == expected


# Seen again.


async def test_a_block_seen_twice_gives_the_same_detections() -> None:
    chain = vaults()
    watch = OutflowWatch([rule('amount_ge(sum, "20")', VAULT, HUB)], chain)
    blocks = [mine(chain, (VAULT, MALLORY, "10"), (HUB, MALLORY, "25")) for _ in range(3)]
    first = [await watch.see(block) for block in blocks]
    assert [await watch.see(block) for block in blocks] == first
    assert [await watch.see(blocks[-1]) for _ in range(3)] == [first[-1]] * 3


async def test_quiet_blocks_fill_the_windows_and_ask_nobody() -> None:
    chain = vaults()
    watch = OutflowWatch([rule("count >= 2")], chain)
    blocks = [mine(chain, (VAULT, MALLORY, "10")) for _ in range(2)]
    chain.silence(1)
    assert not await watch.see(blocks[0], quiet=True)
    with pytest.raises(Unavailable):
        await watch.see(blocks[1])
    (detection,) = await watch.see(blocks[1])
    assert (detection.evidence["sum"], detection.evidence["count"]) == ("20", 2)


@pytest.mark.parametrize("broken", ["faulted", "no number"])
async def test_a_balance_that_can_not_be_read_is_unavailable(broken: str) -> None:
    chain = vaults()
    watch = OutflowWatch([rule("true")], chain)
    block = mine(chain, (VAULT, MALLORY, "10"))
    if broken == "faulted":
        chain.fault(GAS, "balanceOf", "out of gas")
    else:
        chain.answer(GAS, "balanceOf", b"ten")
    with pytest.raises(Unavailable, match="balance"):
        await watch.see(block)
    chain.mend(GAS, "balanceOf")
    (detection,) = await watch.see(block)
    assert detection.evidence["sum"] == "10"


def test_the_longest_window_is_the_longest_of_the_rules() -> None:
    chain = vaults()
    rules = [rule("true", name="short", window=SECOND), rule("true", name="long", window=WINDOW)]
    assert OutflowWatch(rules, chain).longest_window == WINDOW
    assert OutflowWatch([], chain).longest_window == timedelta()

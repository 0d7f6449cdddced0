"""Backtests: over past blocks they find what watching would have found, whatever is known of old balances."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.vaults import HUB, MALLORY, OWNER, VAULT, mine, rule, vaults
from fakes.chain import GENESIS, FakeChain
from fakes.history import FakeHistory
from fakes.repositories import MemoryCursor
from tocsin.cli.backtest_plot import backtest_svg
from tocsin.connect.ports import Block
from tocsin.detect.backtest import GROUP_BLOCKS_MAX, Backtest, BacktestReport, Curve, KnownIncident
from tocsin.detect.balances import BalanceSource
from tocsin.detect.conditions import Condition
from tocsin.detect.follower import CURSOR, Follower
from tocsin.detect.outflow import OutflowRule, OutflowWatch
from tocsin.detect.rules import variables_with
from tocsin.detect.windows import Key, WindowSpec
from tocsin.domain.amounts import Gas
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import BlockHash, ScriptHash

EMERGENCY = "smart-contract-exploit"


async def backtest(
    chain: FakeChain,
    *rules: OutflowRule,
    first: int = 1,
    known: Sequence[KnownIncident] | None = None,
    history: FakeHistory | None = None,
) -> BacktestReport:
    history = history or FakeHistory(chain)
    report = await Backtest(rules, history, history, chain).run(first, chain.blocks[-1].height, known)
    assert history.open == 0
    return report


def drained(*seconds: int, held: str = "1000") -> FakeChain:
    """A chain whose vault loses 20 GAS at each of these seconds."""
    chain = vaults(held)
    for second in seconds:
        mine(chain, (VAULT, MALLORY, "20"), at=GENESIS + timedelta(seconds=second))
    return chain


async def test_what_would_have_joined_one_incident_is_one_firing() -> None:
    chain = drained(10, 20, 30, 40)
    report = await backtest(chain, rule('amount_ge(sum, "40")'))
    (firing,) = report.firings
    assert (firing.key, firing.contract_name, firing.rules) == (f"{EMERGENCY}:{VAULT}", "vault", ("outflow",))
    assert (firing.first, firing.last, firing.detections) == (2, 4, 3)
    assert (str(firing.amount), str(firing.sum_max)) == ("60", "80")
    assert "40 GAS left vault within 60 s (4 % of what it held)" in firing.summary
    assert (report.blocks, report.transactions, report.movements, report.detections) == (4, 4, 4, 3)
    assert report.balances is BalanceSource.HISTORIC


async def test_after_a_quiet_time_a_firing_is_another_one() -> None:
    report = await backtest(drained(10, 20, 81, 400), rule("true"))
    assert [(f.first, f.last) for f in report.firings] == [(1, 2), (3, 3), (4, 4)]
    assert [(f.first, f.last) for f in (await backtest(drained(10, 20, 80), rule("true"))).firings] == [(1, 3)]


async def test_two_rules_count_what_left_once() -> None:
    report = await backtest(drained(10, 20), rule("true", name="one"), rule("count > 1", name="two"))
    (firing,) = report.firings
    assert (firing.rules, firing.detections, str(firing.amount)) == (("one", "two"), 3, "40")


async def test_contracts_fire_separately() -> None:
    chain = vaults()
    mine(chain, (VAULT, MALLORY, "5"), (HUB, MALLORY, "7"))
    report = await backtest(chain, rule("true", VAULT, HUB))
    assert sorted((f.contract_name, str(f.amount)) for f in report.firings) == [("hub", "7"), ("vault", "5")]


async def test_windows_are_full_from_the_first_block_on() -> None:
    chain = drained(10, 20, 30)
    (firing,) = (await backtest(chain, rule('amount_ge(sum, "60")'), first=3)).firings
    assert (firing.first, str(firing.amount), str(firing.sum_max)) == (3, "20", "60")


async def test_balances_are_those_of_their_time_and_not_the_present_ones() -> None:
    chain = drained(*range(10, 60, 10))
    chain.endow(VAULT, Gas(0))  # since then it was emptied by what no transfer shows
    for second in (100, 200):
        chain.mine(at=GENESIS + timedelta(seconds=second))
    chain.endow(VAULT, Gas.parse("900"))
    assert not (await backtest(chain, rule("share_percent >= 11"))).firings
    (firing,) = (await backtest(chain, rule("share_percent >= 10"))).firings
    assert firing.first == 5


payments = st.lists(
    st.tuples(st.sampled_from([VAULT, HUB]), st.sampled_from([MALLORY, OWNER, VAULT]), st.integers(1, 10**9)),
    max_size=3,
)
pasts = st.lists(st.tuples(st.sampled_from([1, 30, 60, 200]), payments), min_size=1, max_size=8)
WINDOWS = {
    "hour": WindowSpec(timedelta(hours=1)),
    "same": WindowSpec(timedelta(seconds=90), Key.RECIPIENT),
    "payees": WindowSpec(timedelta(seconds=90), Key.RULE, Key.RECIPIENT),
}
CONDITIONS = st.sampled_from(
    [
        "count >= 2",
        "share_percent >= 1",
        'amount_gt(hour.sum, "12") && !recipient_known',
        "same.count >= 2 || payees.distinct >= 2",
        'amount_gt(sum, amount_percent(balance_before, 1)) && contract == "vault"',
    ]
)


def windowed(condition: str) -> OutflowRule:
    compiled = Condition(condition, variables_with(WINDOWS), "rule outflow")
    plain = rule("true", VAULT, HUB, known=frozenset({OWNER}))
    return replace(plain, condition=compiled, windows=WINDOWS)


@settings(deadline=None, max_examples=40)
@given(pasts, CONDITIONS, st.booleans(), st.integers(1, 3))
async def test_a_backtest_finds_what_watching_found(
    past: list[tuple[int, list[tuple[ScriptHash, ScriptHash, int]]]], condition: str, keeps_states: bool, first: int
) -> None:
    chain = vaults(str(10**3), str(10**3))
    watched = windowed(condition)
    watch = OutflowWatch([watched], chain)
    found: list[Detection] = []
    seconds = 0
    for pause, moved in past:
        seconds += pause
        paid = [(c, r, str(Gas(amount))) for c, r, amount in moved if c != r]
        found += await watch.see(mine(chain, *paid, at=GENESIS + timedelta(seconds=seconds)))
    first = min(first, len(past))
    history = FakeHistory(chain, keeps_states=keeps_states)
    report = await backtest(chain, watched, first=first, history=history)
    expected = [d for d in found if d.height is not None and d.height >= first]
    assert report.detections == len(expected)
    assert {f.key for f in report.firings} == {d.key for d in expected}
    if expected:
        heights = [d.height for d in expected if d.height is not None]
        assert min(f.first for f in report.firings) == min(heights)
        assert max(f.last for f in report.firings) == max(heights)
        assert report.firings[0].summary in {d.summary for d in expected}
    source = BalanceSource.HISTORIC if keeps_states else BalanceSource.RECONSTRUCTED
    assert (report.balances, report.warm_up_complete) == (source, True)


async def test_reconstructed_balances_give_the_same_report_and_say_so() -> None:
    chain = drained(*range(10, 200, 10))
    chain.endow(HUB, Gas.parse("1000"))
    mine(chain, (HUB, VAULT, "100"), at=GENESIS + timedelta(seconds=300))
    rules = [rule("share_percent >= 8")]
    historic = await backtest(chain, *rules, first=5)
    reckoned = await backtest(chain, *rules, first=5, history=FakeHistory(chain, keeps_states=False))
    assert historic.firings
    assert reckoned.balances is BalanceSource.RECONSTRUCTED
    assert replace(reckoned, balances=BalanceSource.HISTORIC) == historic


def known(name: str, first: int, last: int, contract: ScriptHash | None = VAULT) -> KnownIncident:
    return KnownIncident(name, first, last, EMERGENCY, contract)


async def test_false_positives_and_missed_incidents_are_counted_against_what_is_known() -> None:
    chain = drained(10, 200, 400)
    told = [known("the theft", 1, 1), known("elsewhere", 2, 2, HUB), known("later", 90, 95)]
    report = await backtest(chain, rule("true"), known=told)
    assert [f.known for f in report.firings] == ["the theft", None, None]
    assert [f.first for f in report.false_positives] == [2, 3]
    assert [k.name for k in report.missed] == ["elsewhere", "later"]


@pytest.mark.parametrize(
    ("incident", "covers"),
    [
        (known("it", 3, 3), True),
        (known("it", 1, 2), True),
        (known("it", 4, 9), False),
        (KnownIncident("any", 2, 2), True),
        (KnownIncident("another emergency", 1, 9, "gasbank-depletion"), False),
    ],
)
async def test_a_firing_is_known_by_blocks_emergency_and_contract(incident: KnownIncident, covers: bool) -> None:
    report = await backtest(drained(10, 20, 30), rule("true"), known=[incident])
    assert (report.false_positives, report.missed) == (((), ()) if covers else (report.firings, (incident,)))


async def test_where_nobody_said_what_is_known_nothing_is_called_false() -> None:
    report = await backtest(drained(10), rule("true"))
    assert report.firings
    assert (report.false_positives, report.known) == ((), None)


async def test_a_condition_that_can_not_be_evaluated_fires_here_too() -> None:
    report = await backtest(drained(10), rule("10 / (count - 1) > 3"))
    assert "could not be evaluated" in report.firings[0].summary


async def test_curves_have_all_that_left_however_many_blocks_a_point_stands_for() -> None:
    chain = vaults("5000")
    for second in range(1, 1_000):
        mine(chain, *([(VAULT, MALLORY, "1")] if second % 7 == 0 else []), at=GENESIS + timedelta(seconds=second))
    report = await backtest(chain, rule("false", VAULT, HUB), first=0)
    assert report.movements == 142
    hub, vault = report.curves
    assert (hub.contract_name, vault.contract_name, vault.blocks_a_point) == ("hub", "vault", 3)
    assert len(vault.outflow) == -(-report.blocks // 3)
    assert total(vault) == 142 * 10**8
    assert total(hub) == 0
    assert max(vault.sum_max) == Gas.parse("9")


def total(curve: Curve) -> int:
    return sum(amount.fractions for amount in curve.outflow)


async def test_progress_is_told_and_reaches_the_last_block() -> None:
    chain = drained(10)
    for _ in range(2 * GROUP_BLOCKS_MAX):
        chain.mine()
    told: list[int] = []
    history = FakeHistory(chain)
    last = chain.blocks[-1].height
    await Backtest([rule("true")], history, history, chain, on_block=told.append).run(0, last)
    assert told == sorted(told)
    assert (len(told), told[-1]) == (3, last)


async def test_blocks_that_can_not_be_read_end_a_backtest_with_an_error() -> None:
    chain = drained(10, 20, 30)
    with pytest.raises(Unavailable):
        await backtest(chain, rule("true"), history=FakeHistory(chain, breaks_at=2))


# What is drawn.


async def test_the_drawing_shows_outflow_thresholds_and_what_fired() -> None:
    chain = drained(10, 20, 30)
    rules = [rule('amount_ge(sum, "40") || amount_gt(amount, "123456")')]
    report = await backtest(chain, *rules, known=[])
    drawing = backtest_svg(report, rules)
    root = ET.fromstring(drawing)
    classes = [element.get("class") for element in root.iter()]
    assert classes.count("bar") == 3
    assert (classes.count("fired"), classes.count("known"), classes.count("threshold")) == (1, 0, 1)
    assert "outflow: sum 40 GAS" in drawing
    assert "far above: outflow: amount 123456" in drawing
    assert "block 1" in drawing
    assert len(drawing) < 20_000


async def test_names_can_not_break_the_drawing() -> None:
    chain = drained(10)
    rules = [replace(rule("true", name="<&>"), contracts={VAULT: '<vault> & "co"'})]
    assert "&lt;vault&gt; &amp;" in backtest_svg(await backtest(chain, *rules), rules)
    ET.fromstring(backtest_svg(await backtest(chain, *rules), rules))


# The follower over a long gap.


async def follow(chain: FakeChain, history: FakeHistory, cursor: MemoryCursor) -> tuple[list[int], list[Detection]]:
    """Follows to the present head, and tells which blocks were judged and what was delivered."""
    delivered: list[Detection] = []
    seen: list[int] = []

    class Watch(OutflowWatch):
        async def see(self, block: Block, *, quiet: bool = False) -> Sequence[Detection]:
            if not quiet:
                seen.append(block.height)
            return await super().see(block, quiet=quiet)

    async def deliver(detection: Detection) -> None:
        delivered.append(detection)

    watch = Watch([rule('amount_ge(sum, "40")')], chain)
    follower = Follower(chain, cursor, watch, deliver, history=history, retry_s=0)
    task = asyncio.create_task(follower.follow())
    async with asyncio.timeout(10):
        while follower.handled < chain.blocks[-1].height:
            assert not task.done(), task
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return seen, delivered


@pytest.mark.parametrize("breaks_at", [None, 41, 42, 70, 100])
async def test_a_long_gap_is_read_in_batches_and_no_block_is_skipped_or_seen_twice(breaks_at: int | None) -> None:
    chain = drained(*range(10, 1_010, 10), held="10000")
    cursor = MemoryCursor()
    await cursor.set(CURSOR, 40, BlockHash("0x"))
    history = FakeHistory(chain, breaks_at=breaks_at)
    seen, delivered = await follow(chain, history, cursor)
    assert seen == list(range(41, 101))
    assert [d.height for d in delivered] == seen
    assert (41, 100) in history.asked
    assert history.open == 0
    assert await cursor.get(CURSOR) == 100


async def test_a_long_window_is_filled_in_batches_from_the_block_at_its_edge() -> None:
    chain = drained(*range(10, 1_010, 10), held="10000")
    cursor = MemoryCursor()
    await cursor.set(CURSOR, 99, BlockHash("0x"))
    history = FakeHistory(chain)
    _, (detection,) = await follow(chain, history, cursor)
    assert detection.evidence["sum"] == "120"
    assert not history.asked  # the window has seven blocks, which are not worth a batch

"""The sentinel: fires on demonstrated harm only, above the attacker's fee, and tells people about everything else."""

import asyncio
from dataclasses import replace

import pytest

from fakes.shooting_range import NOW, OTHER_VAULT, PAUSE, VAULT, Chain, Gun, Pool, Rules, Scribe, Stage, pending, stop
from tocsin.connect.reflex_ports import Gap, GapReason
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import OutcomeUnknown, Refused, TocsinError, Unavailable
from tocsin.domain.hashes import ScriptHash
from tocsin.reflex.sentinel import Sentinel
from tocsin.reflex.stops import Readiness, Stops


class Range:
    """Everything wired up, with one stop for the vault that is ready."""

    def __init__(self, *, known: frozenset[ScriptHash] = frozenset(), forbidden: str | None = None) -> None:
        self.pool, self.stage, self.rules, self.gun = Pool(), Stage(), Rules(), Gun()
        self.chain, self.scribe, self.clock = Chain(), Scribe(), ManualClock(NOW)
        self.forbidden = forbidden
        self.stops = Stops(
            [stop("app vault", VAULT), stop("app other", OTHER_VAULT)], self.gun, self.chain, self.clock, 1
        )
        self.sentinel = Sentinel(
            self.pool, self.stage, self.rules, self.stops, self.scribe, lambda: self.forbidden, known
        )

    async def see(self, *transactions: object) -> None:
        """Lets the sentinel see these, and waits until it is through with them."""
        self.pool.put(*transactions)  # pyright: ignore[reportArgumentType]
        self.pool.close()
        async with asyncio.timeout(5):
            await self.sentinel.watch()


@pytest.fixture
async def ready() -> Range:
    scene = Range()
    await scene.stops.tend(10)
    return scene


async def test_a_demonstrated_theft_is_answered_above_its_fee(ready: Range) -> None:
    theft = pending(1, fee=5_000_000)
    await ready.see(theft)
    ((_, above),) = ready.gun.shots
    assert above == theft.bid
    (shot,) = ready.scribe.shots
    assert shot.fired.network_fee.fractions / 250 > theft.network_fee.fractions / theft.size
    assert ready.sentinel.reactions_ms


async def test_what_faults_in_rehearsal_or_harms_nobody_is_left_alone(ready: Range) -> None:
    ready.stage.faults.add(pending(1).tx)
    ready.rules.harmless.add(pending(2).tx)
    await ready.see(pending(1), pending(2))
    assert (ready.gun.shots, ready.scribe.held) == ([], [])


async def test_what_cannot_be_judged_goes_to_people_and_fires_nothing(ready: Range) -> None:
    ready.stage.unjudgeable.add(pending(1).tx)
    await ready.see(pending(1))
    assert ready.gun.shots == []
    assert ready.scribe.unjudged == [pending(1).tx]


async def test_known_accounts_are_not_even_rehearsed() -> None:
    known = ScriptHash("0x" + "11" * 20)
    scene = Range(known=frozenset({known}))
    await scene.stops.tend(10)
    await scene.see(pending(1, signers=(known,)), pending(2, signers=(known, ScriptHash("0x" + "22" * 20))))
    assert scene.stage.rehearsed == [pending(2).tx], "a stranger beside a known account is judged"


async def test_its_own_pauses_are_not_rehearsed_when_they_come_back(ready: Range) -> None:
    await ready.see(replace(pending(1), script=PAUSE), pending(2))
    assert ready.stage.rehearsed == [pending(2).tx]


async def test_unarmed_it_tells_what_it_would_have_answered() -> None:
    scene = Range(forbidden="this installation only observes")
    await scene.stops.tend(10)
    await scene.see(pending(1))
    assert scene.gun.shots == []
    assert scene.scribe.held == [(pending(1).tx, "this installation only observes")]


async def test_a_second_attack_that_pays_less_is_covered_and_one_that_pays_more_is_outbid(ready: Range) -> None:
    await ready.see(pending(1, fee=100_000), pending(2, fee=50_000), pending(3, fee=900_000_000))
    bids = [above.network_fee.fractions for _, above in ready.gun.shots if above]
    assert bids == [100_000, 900_000_000]
    assert len({key for key, _ in ready.gun.shots}) == 2, "a raise is a transaction of its own"
    assert ready.scribe.held == []


async def test_a_gap_is_made_up_for_from_the_pool(ready: Range) -> None:
    ready.pool.waiting = [pending(7)]
    await ready.see(Gap("alder", GapReason.RECONNECTED))
    assert len(ready.gun.shots) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Refused("key-missing", "no endpoint took it"),
        OutcomeUnknown("transaction-refused", "no endpoint took it"),
    ],
)
async def test_a_shot_that_fails_is_told_and_the_stop_is_ready_again(ready: Range, failure: TocsinError) -> None:
    ready.gun.failure = failure
    await ready.see(pending(1))
    assert "no endpoint took it" in ready.scribe.held[0][1]
    assert ready.stops.status()[0].readiness is Readiness.READY


async def test_a_shot_with_an_unknown_outcome_is_not_repeated_for_the_same_bid(ready: Range) -> None:
    ready.gun.failure = OutcomeUnknown("not-acknowledged", "no endpoint said that it took it")
    await ready.see(pending(1), pending(2))
    assert len(ready.scribe.held) == 1, "the second is covered by the first, which may be on its way"


async def test_without_any_pool_to_watch_it_says_so(ready: Range) -> None:
    ready.pool.off = True
    with pytest.raises(Unavailable) as caught:
        await ready.see()
    assert caught.value.code == "mempool-subscriptions-off"


async def test_nothing_is_judged_before_the_rules_have_seen_a_block(ready: Range) -> None:
    ready.rules.newest = None
    await ready.see(pending(1))
    assert ready.gun.shots == []


async def test_a_contract_without_a_stop_is_told_of(ready: Range) -> None:
    ready.rules.victim = ScriptHash("0x" + "99" * 20)
    await ready.see(pending(1))
    assert ready.scribe.held == [(pending(1).tx, "no pause is configured for it")]


async def test_what_robs_two_contracts_is_answered_by_both_pauses(ready: Range) -> None:
    ready.rules.also = OTHER_VAULT
    ready.stops = Stops(
        [stop("app vault", VAULT), stop("app other", OTHER_VAULT)], ready.gun, ready.chain, ready.clock, 2
    )
    await ready.stops.tend(10)
    ready.sentinel = Sentinel(
        ready.pool, ready.stage, ready.rules, ready.stops, ready.scribe, lambda: None, frozenset[ScriptHash]()
    )
    await ready.see(pending(1))
    assert sorted(key.rpartition("/")[0] for key, _ in ready.gun.shots) == ["reflex/app other", "reflex/app vault"]
    assert len(ready.scribe.shots) == 2

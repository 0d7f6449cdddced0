"""Armed calls: sent in milliseconds, above what they are to overtake, once a key, and never two rungs of a ladder."""

import asyncio
from dataclasses import replace

import pytest

from fakes.endpoint import proxy, rejecting
from fakes.outbox import Died, MemoryOutbox, OutboxThatDies
from fakes.payments import Payment, chain_of, through
from private_chain import PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import FeeLimits
from tocsin.connect.ports import Included, Invocation, OutboxStatus, Sent
from tocsin.connect.reflex_ports import FEE_STEP, FeeBid, Ladder
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused

VERIFICATION_FAILED = -500
ATTEMPTS = 10


def test_a_bid_is_beaten_per_byte_whatever_the_sizes() -> None:
    bid = FeeBid(Gas(5_000_999), 1_000)
    for size in (100, 265, 5_000):
        assert FeeBid(bid.beaten_by(size), size).per_byte == bid.per_byte + 1 + FEE_STEP


async def test_arming_sends_nothing_and_says_until_when(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(valid_until_blocks=50), outbox) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        assert armed.armed_until == armed.armed_at + 50
        async with asyncio.timeout(10):
            while (again := await chain.armed.rearm(armed)).armed_at == armed.armed_at:
                pass
    assert again == replace(armed, armed_at=again.armed_at, armed_until=again.armed_at + 50)
    assert await outbox.unsettled() == []


async def test_a_call_that_faults_is_not_armed(private_chain: PrivateChain) -> None:
    contract = Payment.of(private_chain).calls[0].contract
    async with chain_of(private_chain.config()) as chain:
        with pytest.raises(Refused) as refused:
            await chain.armed.arm([Invocation(contract, "pauseAll")], purpose="refill")
    assert refused.value.code == "rehearsal-faulted"


async def test_a_fired_call_takes_effect_once_a_key(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), outbox) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        fired = await chain.armed.fire("reflex-1", armed, above=FeeBid(Gas(10**6), 250))
        again = await chain.armed.fire("reflex-1", armed, above=FeeBid(Gas(10**7), 250))
        included = await chain.sender.wait(fired)
        assert await chain.sender.recall("reflex-1") == Sent("reflex-1", fired.tx, fired.valid_until_block)
    assert (again.tx, again.network_fee) == (fired.tx, fired.network_fee)
    assert (fired.outbids, again.outbids) == (True, False)
    assert fired.accepted_by
    assert included.execution.halted
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_two_keys_are_two_decisions(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        fired = [await chain.armed.fire(key, armed) for key in ("reflex-1", "reflex-2")]
        await asyncio.gather(*(chain.sender.wait(each) for each in fired))
    assert await private_chain.gas_of(payment.payee) == 2 * payment.amount


async def test_the_fee_per_byte_is_above_the_bid(private_chain: PrivateChain) -> None:
    bid = FeeBid(Gas(5_000_000), 250)
    async with chain_of(private_chain.config()) as chain:
        armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
        least = await chain.armed.fire("cheap", armed)
        fired = await chain.armed.fire("dear", armed, above=bid)
        low = await chain.armed.fire("low", armed, above=FeeBid(Gas(1), 250))
    assert least.network_fee == armed.network_fee
    assert fired.network_fee == Gas((5_000_000 // 250 + 1 + 1000) * armed.size)
    assert (fired.outbids, low.outbids, low.network_fee) == (True, True, armed.network_fee)


async def test_a_bid_above_the_maximum_is_met_with_the_maximum_and_that_is_said(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    limit = Gas(4_000_000)
    async with chain_of(private_chain.config(fees=FeeLimits(network_max=limit))) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        fired = await chain.armed.fire("reflex-1", armed, above=FeeBid(Gas(5 * 10**8), 250))
        await chain.sender.wait(fired)
    assert (fired.network_fee, fired.outbids) == (limit, False)
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_fired_call_comes_before_what_it_overtakes(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        for attempt in range(ATTEMPTS):
            armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
            with private_chain.frozen(private_chain.validator):
                overtaken = await chain.armed.fire(f"attack-{attempt}", armed)
                fired = await chain.armed.fire(
                    f"pause-{attempt}", armed, above=FeeBid(overtaken.network_fee, armed.size)
                )
            one, other = await asyncio.gather(chain.sender.wait(overtaken), chain.sender.wait(fired))
            if one.height == other.height:
                order = [each.tx for each in (await chain.feed.block(one.height)).transactions]
                assert order.index(fired.tx) < order.index(overtaken.tx)
                return
            assert other.height < one.height
    raise AssertionError("they never came into one block")


async def test_the_bytes_stand_in_the_outbox_before_anybody_is_offered_them(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), OutboxThatDies(outbox)) as dying:
        armed = await dying.armed.arm(payment.calls, purpose="refill")
        with pytest.raises(Died):
            await dying.armed.fire("reflex-1", armed)
    standing = await outbox.get("reflex-1")
    assert standing is not None
    async with chain_of(private_chain.config(), outbox) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        fired = await chain.armed.fire("reflex-1", armed)
        await chain.sender.wait(fired)
    assert fired.tx == standing.tx
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_what_every_endpoint_refuses_is_refused_and_never_offered_again(private_chain: PrivateChain) -> None:
    outbox = MemoryOutbox()
    async with chain_of(private_chain.config(), outbox) as chain:
        # The pause key of this chain holds no GAS: the rehearsal does not mind, the pools do.
        symbol = [Invocation(Payment.of(private_chain).calls[0].contract, "symbol")]
        armed = await chain.armed.arm(symbol, purpose="pause")
        for _ in range(2):
            with pytest.raises(OutcomeUnknown) as refused:
                await chain.armed.fire("reflex-1", armed)
            assert refused.value.code == "transaction-refused"
    standing = await outbox.get("reflex-1")
    assert standing is not None
    assert standing.status is OutboxStatus.REFUSED


async def test_without_any_answer_the_outcome_is_unknown_and_the_bytes_are_kept(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config()) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
    gone = tuple(replace(e, url="http://127.0.0.1:9", ws=None) for e in private_chain.endpoints())
    async with chain_of(private_chain.config(endpoints=gone), outbox) as nowhere:
        with pytest.raises(OutcomeUnknown):
            await nowhere.armed.fire("reflex-1", armed)
    assert [entry.key for entry in await outbox.unsettled()] == ["reflex-1"]


async def test_a_frozen_endpoint_does_not_hold_up_a_shot(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    config = private_chain.config()
    async with chain_of(config) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        with private_chain.frozen(private_chain.followers[0]):
            async with asyncio.timeout(0.5):
                fired = await chain.armed.fire("reflex-1", armed)
            await chain.sender.wait(fired)
    assert fired.accepted_by != private_chain.followers[0].name
    assert await private_chain.gas_of(payment.payee) == payment.amount
    await private_chain.in_step()


async def test_the_first_refusal_does_not_stop_a_shot_that_another_accepts(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    refusing = rejecting("sendrawtransaction", VERIFICATION_FAILED, "verification failed")
    withheld = frozenset({"sendrawtransaction"})
    one, other = private_chain.validator.http_url, private_chain.followers[0].http_url
    async with (
        proxy(one, refusing, withheld=withheld) as liar,
        proxy(other) as honest,
        chain_of(private_chain.config(endpoints=through(liar, honest))) as chain,
    ):
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        fired = await chain.armed.fire("reflex-1", armed)
        await chain.sender.wait(fired)
    assert fired.accepted_by == "proxy-2"


async def test_a_call_armed_for_another_account_is_not_fired(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
        with pytest.raises(Refused) as refused:
            await chain.armed.fire("reflex-1", replace(armed, purpose="pause"))
    assert refused.value.code == "armed-for-another-account"


async def test_a_shot_after_its_time_is_still_valid(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config(valid_until_blocks=10)) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        async with asyncio.timeout(10):
            while await chain.reader.height() <= armed.armed_until:
                await chain.survey()
        fired = await chain.armed.fire("reflex-1", armed)
        await chain.sender.wait(fired)
    assert fired.valid_until_block > armed.armed_until
    assert await private_chain.gas_of(payment.payee) == payment.amount


class Stairs:
    """A ladder of a payment, and what came of sending its rungs."""

    def __init__(self, chain: NeoChain, ladder: Ladder) -> None:
        self.chain = chain
        self.ladder = ladder

    @classmethod
    async def of(cls, chain: NeoChain, payment: Payment) -> "Stairs":
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        return cls(chain, await chain.armed.rungs(armed))

    async def send(self, number: int) -> Sent | None:
        """Sends one rung as somebody would who has only this one; None if every endpoint refused it."""
        alone = replace(self.ladder, rungs=(self.ladder.rungs[number],))
        try:
            return await self.chain.armed.fire_rung(f"rung-{number}", alone)
        except OutcomeUnknown as unknown:
            if unknown.code == "transaction-refused":
                return None
            # A frozen node may have it.
            return await self.chain.sender.recall(f"rung-{number}")

    async def outcome(self, sent: Sent) -> Included | None:
        try:
            return await self.chain.sender.wait(sent)
        except Failed:
            return None


async def test_a_ladder_ends_at_the_maximum(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        ladder = (await Stairs.of(chain, Payment.of(private_chain))).ladder
    fees = [rung.network_fee.fractions for rung in ladder.rungs]
    assert fees[-1] == chain.config.fees.network_max.fractions
    assert fees[:-1] == [fees[0] * 4**n for n in range(len(fees) - 1)]
    assert len({rung.tx for rung in ladder.rungs}) == len(fees) >= 4


@pytest.mark.parametrize("order", [(0, 2), (2, 0), (1, 3, 0)], ids=str)
async def test_of_a_ladder_one_rung_takes_effect_also_blocks_apart(
    private_chain: PrivateChain, order: tuple[int, ...]
) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config(valid_until_blocks=15)) as chain:
        stairs = await Stairs.of(chain, payment)
        first, *others = order
        sent = await stairs.send(first)
        assert sent is not None
        assert (await chain.sender.wait(sent)).execution.halted
        assert [await stairs.send(number) for number in others] == [None] * len(others)
    assert await private_chain.gas_of(payment.payee) == payment.amount


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)], ids=str)
async def test_of_a_ladder_one_rung_takes_effect_also_at_the_same_time(
    private_chain: PrivateChain, order: tuple[int, ...]
) -> None:
    payment = Payment.of(private_chain)
    followers = private_chain.endpoints()[1:]
    async with chain_of(private_chain.config(endpoints=followers, valid_until_blocks=15)) as chain:
        stairs = await Stairs.of(chain, payment)
        with private_chain.frozen(private_chain.validator):
            sent = [each for number in order if (each := await stairs.send(number)) is not None]
        outcomes = await asyncio.gather(*(stairs.outcome(each) for each in sent))
    included = [outcome.tx for outcome in outcomes if outcome is not None]
    # The topmost replaces the others in the pools, in whichever order they come.
    assert included == [stairs.ladder.rungs[3].tx]
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_the_lowest_rung_that_outbids_is_fired_without_any_key(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        ladder = (await Stairs.of(chain, payment)).ladder
    between = FeeBid(ladder.rungs[0].network_fee, len(ladder.rungs[0].raw))
    async with chain_of(replace(private_chain.config(), keys=())) as keyless:
        fired = await keyless.armed.fire_rung("reflex-1", ladder, above=between)
        await keyless.sender.wait(fired)
        too_dear = await keyless.armed.fire_rung("reflex-1", ladder, above=FeeBid(Gas(10**10), 250))
    assert (fired.tx, fired.outbids) == (ladder.rungs[1].tx, True)
    # The key's transaction stands: no second rung goes out under it.
    assert (too_dear.tx, too_dear.outbids, too_dear.accepted_by) == (fired.tx, False, "")
    assert await private_chain.gas_of(payment.payee) == payment.amount

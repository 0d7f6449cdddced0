"""The feed: every block comes, in order, whatever happens to WebSockets and nodes."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from fakes.endpoint import answering, proxy
from fakes.outbox import MemoryOutbox
from fakes.payments import Payment
from fakes.socket_endpoint import socket_proxy
from miniapp_platform.chain import Authority
from miniapp_platform.script import transfer_gas
from private_chain import GAS, QUICK, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.feed import HeadTracker
from tocsin.connect.neo.network import Endpoint, HealthLimits, NetworkConfig
from tocsin.connect.ports import Argument, BlockTransaction, Invocation, ParameterType, Sent
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, TxHash

PATIENCE_S = 20.0
PAYERS = 3
NO_WEBSOCKET = "ws://127.0.0.1:9/ws"


def chain_of(config: NetworkConfig) -> NeoChain:
    return NeoChain(config, MemoryOutbox())


class Follower:
    """Follows the feed as a detector would: from the last block it has to each new head, without a gap."""

    def __init__(self, chain: NeoChain, transactions: dict[int, list[TxHash]] | None = None) -> None:
        self._chain = chain
        self._heads = chain.feed.heads()
        self._transactions = transactions
        self.heights: list[int] = []

    async def follow(self, blocks: int) -> None:
        """Follows until it has this many more blocks."""
        until = len(self.heights) + blocks
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heights) < until:
                head = await anext(self._heads)
                following = self.heights[-1] + 1 if self.heights else head
                for height in range(following, head + 1):
                    block = await self._chain.feed.block(height, confirmed=self._transactions is not None)
                    self.heights.append(block.height)
                    if self._transactions is not None:
                        self._transactions[block.height] = [each.tx for each in block.transactions]

    @property
    def without_gap(self) -> bool:
        return self.heights == list(range(self.heights[0], self.heights[0] + len(self.heights)))

    async def close(self) -> None:
        await self._heads.aclose()


async def test_heads_are_told_by_websocket_without_polling(private_chain: PrivateChain) -> None:
    validator = private_chain.endpoints()[0]
    async with proxy(validator.url) as counted:
        config = private_chain.config(endpoints=(replace(validator, url=counted.url),), quorum=1)
        async with chain_of(config) as chain, asyncio.timeout(PATIENCE_S), aclosing(chain.feed.heads()) as told:
            heads = [await anext(told) for _ in range(12)]
    assert heads == sorted(set(heads))
    # A few polls until the subscription stands, and none when it does.
    assert counted.seen.count("getblockcount") < 8


async def test_heads_come_by_polling_where_there_is_no_websocket(private_chain: PrivateChain) -> None:
    endpoints = tuple(replace(endpoint, ws=None) for endpoint in private_chain.endpoints())
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
        follower = Follower(chain)
        await follower.follow(8)
        await follower.close()
    assert follower.without_gap


async def test_no_block_is_skipped_when_the_subscribed_node_stops(private_chain: PrivateChain) -> None:
    validator, follower_1, follower_2 = private_chain.endpoints()
    config = private_chain.config(endpoints=(follower_1, follower_2, validator))
    async with chain_of(config) as chain:
        follower = Follower(chain)
        await follower.follow(5)
        async with private_chain.stopped(private_chain.followers[0]):
            await follower.follow(10)
        await follower.follow(5)
        await follower.close()
    assert follower.without_gap


async def test_no_block_is_skipped_when_the_subscribed_node_freezes(private_chain: PrivateChain) -> None:
    validator, follower_1, follower_2 = private_chain.endpoints()
    config = private_chain.config(endpoints=(follower_1, follower_2, validator))
    async with chain_of(config) as chain:
        follower = Follower(chain)
        await follower.follow(5)
        with private_chain.frozen(private_chain.followers[0]):
            await follower.follow(20)
        await follower.follow(5)
        await follower.close()
    assert follower.without_gap
    await private_chain.in_step()


async def test_a_subscription_is_taken_elsewhere_when_the_first_can_not_be_had(private_chain: PrivateChain) -> None:
    validator, follower_1, follower_2 = private_chain.endpoints()
    endpoints = (replace(validator, ws=NO_WEBSOCKET), replace(follower_1, ws=NO_WEBSOCKET), follower_2)
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
        follower = Follower(chain)
        await follower.follow(8)
        await follower.close()
    assert follower.without_gap


async def test_a_block_tells_what_its_transactions_did(private_chain: PrivateChain) -> None:
    payee = ScriptHash(f"0x{secrets.token_hex(20)}")
    payer = ScriptHash(private_chain.accounts.refill.hash)
    arguments = (
        Argument(ParameterType.HASH160, payer),
        Argument(ParameterType.HASH160, payee),
        Argument(ParameterType.INTEGER, 3),
        Argument(ParameterType.ANY, None),
    )
    async with chain_of(private_chain.config()) as chain:
        sent = await chain.sender.submit("run-1", [Invocation(GAS, "transfer", arguments)], purpose="refill")
        included = await chain.sender.wait(sent)
        block = await chain.feed.block(included.height)
    transaction = next(each for each in block.transactions if each.tx == sent.tx)
    assert (block.height, transaction.halted) == (included.height, True)
    assert (transaction.sender, transaction.signers) == (payer, (payer,))
    notification = transaction.notifications[0]
    assert (notification.contract, notification.name, notification.container) == (GAS, "Transfer", sent.tx)
    assert notification.values == (bytes.fromhex(payer[2:])[::-1], bytes.fromhex(payee[2:])[::-1], 3)
    assert block.time.tzinfo is not None


async def test_a_faulted_transaction_has_no_notifications(private_chain: PrivateChain) -> None:
    committee, refill = private_chain.accounts.committee, private_chain.accounts.refill
    calls = [
        transfer_gas(refill.script_hash, committee.script_hash, 1),
        transfer_gas(refill.script_hash, committee.script_hash, 1),
    ]
    async with private_chain.client() as client:
        fees = await client.fees(calls[:1], [Authority(refill)])
        # Enough for the first transfer and not for the second, whose FAULT takes the first one's notification with it.
        fees = replace(fees, system=fees.system + 10_000, network=2 * fees.network)
        transaction = await client.build(calls, [Authority(refill)], fees)
        await client.send(transaction)
        execution = await client.wait(transaction)
        assert not execution.halted
    async with chain_of(private_chain.config()) as chain:
        tx = await _find(chain, transaction.hash)
    assert (tx.halted, tx.notifications) == (False, ())


async def test_a_confirmed_block_is_what_a_quorum_tells(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        head = await chain.reader.height()
        assert await chain.feed.block(head, confirmed=True) == await chain.feed.block(head)
        # One that some do not have yet is waited for.
        assert (await chain.feed.block(await private_chain.height() + 2, confirmed=True)).height > head


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("getblock", lambda block: block | {"hash": "0x" + "00" * 32}),
        ("getblock", lambda block: block | {"tx": []}),
        ("getapplicationlog", lambda log: log | {"executions": [log["executions"][0] | {"vmstate": "FAULT"}]}),
        ("getapplicationlog", lambda log: log | {"executions": [log["executions"][0] | {"notifications": []}]}),
    ],
    ids=["hash", "transactions", "state", "notifications"],
)
async def test_a_lie_about_a_block_is_outvoted_and_its_teller_named(
    private_chain: PrivateChain, method: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    payment = Payment.of(private_chain)
    validator, *others = private_chain.endpoints()
    async with proxy(validator.url, answering(method, change)) as liar:
        endpoints = (Endpoint("liar", "willow", liar.url), *others)
        config = replace(private_chain.config(endpoints=endpoints), times=replace(QUICK, grace_s=1.0))
        async with chain_of(config) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            included = await chain.sender.wait(sent)
            block = await chain.feed.block(included.height, confirmed=True)
            status = (await chain.survey())[0]
    transaction = next(each for each in block.transactions if each.tx == sent.tx)
    assert (transaction.halted, len(transaction.notifications)) == (True, 1)
    assert (status.endpoint.name, status.set_aside) == ("liar", True)
    assert f"contradicts the majority: its block {block.height}" in (status.problem or "")


async def test_a_block_without_a_quorum_is_not_confirmed(private_chain: PrivateChain) -> None:
    validator, follower, other = private_chain.endpoints()
    endpoints = (validator, replace(follower, url="http://127.0.0.1:9"), replace(other, url="http://127.0.0.1:9"))
    config = replace(private_chain.config(endpoints=endpoints), times=replace(QUICK, quorum_s=0.3))
    async with chain_of(config) as chain:
        with pytest.raises(Unavailable) as unconfirmed:
            await chain.feed.block(1, confirmed=True)
        assert (await chain.feed.block(1)).height == 1
    assert unconfirmed.value.code == "block-unconfirmed"


async def test_a_liar_is_never_the_source_of_a_head(private_chain: PrivateChain) -> None:
    validator, *others = private_chain.endpoints()
    assert validator.ws is not None

    def ahead(message: dict[str, Any]) -> dict[str, Any]:
        if message.get("method") != "header_of_added_block":
            return message
        return message | {"params": [message["params"][0] | {"index": message["params"][0]["index"] + 1_000}]}

    async with (
        proxy(validator.url, answering("getblockcount", lambda count: count + 1_000)) as liar,
        socket_proxy(validator.ws, ahead) as socket,
    ):
        endpoints = (Endpoint("liar", "willow", liar.url, socket.url), *others)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            follower = Follower(chain)
            await follower.follow(8)
            await follower.close()
            assert await chain.reader.height() <= await private_chain.height()
            status = (await chain.survey())[0]
    assert follower.without_gap
    assert follower.heights[-1] <= await private_chain.height()
    assert status.set_aside
    assert "ahead of all others" in (status.problem or "")


async def test_no_block_is_skipped_or_handled_twice_while_nodes_fail_under_traffic(private_chain: PrivateChain) -> None:
    await follow_through_faults(private_chain, rounds=1)


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_no_block_is_skipped_or_handled_twice_in_a_long_run_of_failures(private_chain: PrivateChain) -> None:
    await follow_through_faults(private_chain, rounds=6)


async def follow_through_faults(private_chain: PrivateChain, *, rounds: int) -> None:
    """Freezes, kills and restarts nodes one after the other, while payments are made and the watch sets aside.

    The follower asks for confirmed blocks; afterwards every payment is in exactly one of them.
    """
    payment, payments = Payment.of(private_chain), list[Sent]()
    config = replace(private_chain.config(), health=HealthLimits(lag_blocks=5, return_s=0.5))

    async def pay(chain: NeoChain, payer: int) -> None:
        for number in itertools.count():
            payments.append(await chain.sender.submit(f"{payer}-{number}", payment.calls, purpose="refill"))
            await chain.sender.wait(payments[-1])

    async with chain_of(config) as chain:
        seen: dict[int, list[TxHash]] = {}
        follower = Follower(chain, seen)
        tasks = [asyncio.create_task(each) for each in (chain.watch(), *(pay(chain, payer) for payer in range(PAYERS)))]
        try:
            for _ in range(rounds):
                await follower.follow(5)
                with private_chain.frozen(private_chain.followers[0]):
                    await follower.follow(10)
                await follower.follow(5)
                private_chain.followers[1].kill()
                await follower.follow(10)
                await private_chain.followers[1].restart()
                await private_chain.in_step()
                with private_chain.frozen(private_chain.validator):
                    await chain.survey()
                await follower.follow(10)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        last = max([(await chain.sender.wait(sent)).height for sent in payments])
        while follower.heights[-1] < last:
            await follower.follow(1)
        await follower.close()
    assert follower.without_gap
    sent = [each.tx for each in payments]
    handled = [tx for height in follower.heights for tx in seen[height]]
    assert sorted(tx for tx in handled if tx in sent) == sorted(sent)
    assert len(sent) > 10 * PAYERS
    assert await private_chain.gas_of(payment.payee) == len(sent) * payment.amount


async def test_a_block_that_is_not_there_yet_is_unavailable(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        with pytest.raises(Unavailable, match="block 100000000"):
            await chain.feed.block(100_000_000)


async def test_blocks_come_from_another_endpoint_when_one_fails(private_chain: PrivateChain) -> None:
    validator, *others = private_chain.endpoints()
    async with proxy(validator.url, answering("getblock", lambda block: block | {"index": 1})) as liar:
        endpoints = (Endpoint("liar", "willow", liar.url), *others)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            assert (await chain.feed.block(2)).height == 2


def tracker_of(quorum: int, *names: str) -> HeadTracker:
    """A tracker of endpoints, each of a provider of its own."""
    return HeadTracker([Endpoint(name, f"provider of {name}", "http://127.0.0.1:9") for name in names], quorum)


def test_a_head_is_told_once_and_never_goes_back() -> None:
    tracker = tracker_of(1, "a", "b")
    told = [
        tracker.head_after({"a": 5}, 0.0, 5.0),
        tracker.head_after({"a": 5, "b": 5}, 0.1, 5.0),
        tracker.head_after({"b": 4}, 0.2, 5.0),
        tracker.head_after({"b": 6}, 0.3, 5.0),
    ]
    assert told == [5, None, None, 6]


def test_a_head_is_what_a_quorum_of_providers_has() -> None:
    tracker = tracker_of(2, "a", "b", "c")
    assert tracker.head_after({"a": 7}, 0.0, 5.0) is None
    assert tracker.claims_more
    assert tracker.head_after({"b": 6}, 0.1, 5.0) == 6
    assert tracker.head_after({"c": 7}, 0.2, 5.0) == 7
    assert not tracker.claims_more


def test_endpoints_of_one_provider_make_no_quorum() -> None:
    endpoints = [Endpoint(name, "alder", "http://127.0.0.1:9") for name in ("a", "b")]
    tracker = HeadTracker([*endpoints, Endpoint("c", "birch", "http://127.0.0.1:9")], 2)
    assert tracker.head_after({"a": 9, "b": 9}, 0.0, 5.0) is None
    assert tracker.head_after({"c": 8}, 0.1, 5.0) == 8


def test_a_claim_of_blocks_that_nobody_else_has_moves_nothing() -> None:
    tracker = tracker_of(2, "liar", "a", "b")
    heights = {"liar": 1_000_000, "a": 5, "b": 5}
    assert tracker.head_after(heights, 0.0, 5.0) == 5
    assert [tracker.head_after({"liar": 2_000_000, "a": 6, "b": 6}, 1.0, 5.0)] == [6]


def test_when_the_others_fall_silent_the_heads_go_on_after_a_bounded_time() -> None:
    tracker = tracker_of(2, "a", "b")
    assert tracker.head_after({"a": 5, "b": 5}, 0.0, 5.0) == 5
    told = [tracker.head_after({"a": 5 + second}, float(second), 5.0) for second in range(1, 8)]
    assert told == [None] * 5 + [11, 12]


async def _find(chain: NeoChain, tx: str) -> BlockTransaction:
    """The transaction in one of the last blocks."""
    head = await chain.reader.height()
    for height in range(head, max(0, head - 50), -1):
        for each in (await chain.feed.block(height)).transactions:
            if each.tx == tx:
                return each
    raise AssertionError(f"{tx} is in none of the last blocks")

"""The feed: every block comes, in order, whatever happens to WebSockets and nodes."""

import asyncio
import secrets
from contextlib import aclosing
from dataclasses import replace

import pytest

from fakes.endpoint import answering, proxy
from fakes.outbox import MemoryOutbox
from miniapp_platform.chain import Authority
from miniapp_platform.script import transfer_gas
from private_chain import GAS, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.feed import HeadTracker
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.ports import Argument, BlockTransaction, Invocation, ParameterType
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash

PATIENCE_S = 20.0
NO_WEBSOCKET = "ws://127.0.0.1:9/ws"


def chain_of(config: NetworkConfig) -> NeoChain:
    return NeoChain(config, MemoryOutbox())


class Follower:
    """Follows the feed as a detector would: from the last block it has to each new head, without a gap."""

    def __init__(self, chain: NeoChain) -> None:
        self._chain = chain
        self._heads = chain.feed.heads()
        self.heights: list[int] = []

    async def follow(self, blocks: int) -> None:
        """Follows until it has this many more blocks."""
        until = len(self.heights) + blocks
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heights) < until:
                head = await anext(self._heads)
                following = self.heights[-1] + 1 if self.heights else head
                for height in range(following, head + 1):
                    block = await self._chain.feed.block(height)
                    self.heights.append(block.height)

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


def test_a_head_is_told_once_and_never_goes_back() -> None:
    tracker = HeadTracker()
    told = [
        tracker.head_after({"a": 5}, 0.0, 5.0),
        tracker.head_after({"a": 5, "b": 5}, 0.1, 5.0),
        tracker.head_after({"b": 4}, 0.2, 5.0),
        tracker.head_after({"b": 6}, 0.3, 5.0),
    ]
    assert told == [5, None, None, 6]


def test_an_endpoint_that_claims_blocks_which_never_come_is_left_behind_in_time() -> None:
    tracker = HeadTracker()
    assert tracker.head_after({"liar": 1_000_000, "honest": 5}, 0.0, 5.0) == 1_000_000
    told = [tracker.head_after({"liar": 1_000_000, "honest": 5 + second}, float(second), 5.0) for second in range(1, 9)]
    assert told == [None] * 5 + [11, 12, 13]


async def _find(chain: NeoChain, tx: str) -> BlockTransaction:
    """The transaction in one of the last blocks."""
    head = await chain.reader.height()
    for height in range(head, max(0, head - 50), -1):
        for each in (await chain.feed.block(height)).transactions:
            if each.tx == tx:
                return each
    raise AssertionError(f"{tx} is in none of the last blocks")

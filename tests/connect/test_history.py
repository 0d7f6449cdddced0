"""The past in batches: every block once and in order, from whichever endpoint has it; old states where they are."""

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from neo3.core.types import UInt160

from fakes.endpoint import Lie, ProxyEndpoint, answering, breaking, honest, proxy, rejecting
from fakes.outbox import MemoryOutbox
from miniapp_platform.chain import Authority
from miniapp_platform.script import transfer_gas
from private_chain import GAS, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.history import BLOCKS_A_REQUEST
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.ports import Argument, Block, Invocation, ParameterType
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

PATIENCE_S = 30.0
TRANSACTIONS = 230
"""More than two batches of logs."""


@pytest.fixture(scope="module")
def busy(private_chain: PrivateChain) -> range:
    """Blocks with many transactions, and some without any."""

    async def make() -> range:
        refill = private_chain.accounts.refill
        authorities = [Authority(refill)]
        calls = [transfer_gas(refill.script_hash, UInt160(secrets.token_bytes(20)), 1)]
        async with private_chain.client() as client:
            first = await client.height() + 1
            fees = await client.fees(calls, authorities)
            sent = [await client.build(calls, authorities, fees) for _ in range(TRANSACTIONS)]
            for transaction in sent:
                await client.send(transaction)
            for transaction in sent:
                await client.wait(transaction)
            last = await client.wait_height(max(await client.height(), first + 2 * BLOCKS_A_REQUEST))
        await private_chain.in_step()
        return range(first, last + 1)

    return asyncio.run(make())


def chain_of(config: NetworkConfig) -> NeoChain:
    return NeoChain(config, MemoryOutbox())


def behind(endpoint: ProxyEndpoint, name: str = "proxy") -> Endpoint:
    return Endpoint(name, "willow", endpoint.url)


async def read(chain: NeoChain, blocks: range) -> list[Block]:
    async with asyncio.timeout(PATIENCE_S), aclosing(chain.history.blocks(blocks[0], blocks[-1])) as found:
        return [block async for block in found]


async def one_by_one(private_chain: PrivateChain, blocks: range) -> list[Block]:
    async with chain_of(private_chain.config()) as chain:
        return [await chain.feed.block(height) for height in blocks]


@asynccontextmanager
async def counted(private_chain: PrivateChain, lie: Lie = honest) -> AsyncGenerator[tuple[NeoChain, ProxyEndpoint]]:
    """A chain behind one proxy."""
    async with (
        proxy(private_chain.validator.http_url, lie) as endpoint,
        chain_of(private_chain.config(endpoints=(behind(endpoint),), quorum=1)) as chain,
    ):
        yield chain, endpoint


async def test_the_past_is_what_the_feed_tells_block_by_block(private_chain: PrivateChain, busy: range) -> None:
    async with chain_of(private_chain.config()) as chain:
        found = await read(chain, busy)
    assert found == await one_by_one(private_chain, busy)
    assert sum(len(block.transactions) for block in found) >= TRANSACTIONS


async def test_a_single_block_can_be_read(private_chain: PrivateChain, busy: range) -> None:
    async with chain_of(private_chain.config()) as chain:
        assert [block.height for block in await read(chain, busy[3:4])] == [busy[3]]


async def test_each_block_and_each_log_is_asked_for_once(private_chain: PrivateChain, busy: range) -> None:
    async with counted(private_chain) as (chain, endpoint):
        found = await read(chain, busy)
    assert endpoint.seen.count("getblock") == len(busy)
    assert endpoint.seen.count("getapplicationlog") == sum(len(block.transactions) for block in found)


async def test_reading_ahead_is_bounded_and_ends_with_the_reader(private_chain: PrivateChain, busy: range) -> None:
    async with counted(private_chain) as (chain, endpoint):
        async with asyncio.timeout(PATIENCE_S), aclosing(chain.history.blocks(busy[0], busy[-1])) as found:
            assert (await anext(found)).height == busy[0]
        assert endpoint.seen.count("getblock") < len(busy) + 1
        assert len(asyncio.all_tasks()) < 10


@pytest.mark.parametrize("method", ["getblock", "getapplicationlog"])
async def test_what_one_endpoint_does_not_give_comes_from_another(
    private_chain: PrivateChain, busy: range, method: str
) -> None:
    async with proxy(private_chain.validator.http_url, breaking(method)) as broken:
        endpoints = (behind(broken), *private_chain.endpoints()[1:])
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            found = await read(chain, busy)
    assert [block.height for block in found] == list(busy)
    assert method in broken.seen


async def test_blocks_come_through_a_node_that_stops_half_way(private_chain: PrivateChain, busy: range) -> None:
    found: list[Block] = []
    follower = private_chain.followers[0]
    async with (
        chain_of(private_chain.config(endpoints=private_chain.endpoints()[1:])) as chain,
        asyncio.timeout(PATIENCE_S),
        aclosing(chain.history.blocks(busy[0], busy[-1])) as blocks,
    ):
        async for block in blocks:
            found.append(block)
            if len(found) == 3:
                await follower.stop()
    await follower.restart()
    await private_chain.in_step()
    assert [block.height for block in found] == list(busy)


async def test_a_block_of_another_height_is_not_taken(private_chain: PrivateChain, busy: range) -> None:
    async with private_chain.client() as client:
        other = await client.call("getblock", busy[1], 0)
    async with counted(private_chain, answering("getblock", lambda _: other)) as (chain, _):
        with pytest.raises(Unavailable, match=f"gave block {busy[1]} for {busy[0]}"):
            await read(chain, busy[:1])


@pytest.mark.parametrize("place", [10, 60, 100, -30])
async def test_blocks_whose_bytes_can_not_be_read_are_asked_for_as_json(
    private_chain: PrivateChain, busy: range, place: int
) -> None:
    def spoil(block: str | dict[str, object]) -> str | dict[str, object]:
        if isinstance(block, dict):
            return block
        return base64.b64encode(base64.b64decode(block)[:place]).decode()

    async with counted(private_chain, answering("getblock", spoil)) as (chain, endpoint):
        found = await read(chain, busy[:5])
    assert found == await one_by_one(private_chain, busy[:5])
    assert endpoint.seen.count("getblock") == 10


async def test_what_is_not_there_yet_is_unavailable_after_all_that_is(private_chain: PrivateChain) -> None:
    found: list[int] = []

    async def read_one_by_one(chain: NeoChain, head: int) -> None:
        async with aclosing(chain.history.blocks(head - 5, head + 100_000)) as blocks:
            while True:
                found.append((await anext(blocks)).height)

    async with chain_of(private_chain.config()) as chain:
        head = await chain.reader.height()
        with pytest.raises(Unavailable, match="block"):
            await read_one_by_one(chain, head)
    assert found[:6] == list(range(head - 5, head + 1))
    assert found == list(range(head - 5, head - 5 + len(found)))


async def test_answers_that_would_be_too_long_are_asked_for_in_parts(private_chain: PrivateChain, busy: range) -> None:
    blocks = await one_by_one(private_chain, busy)
    config = private_chain.config()
    async with chain_of(replace(config, body_bytes_max=120_000)) as chain:
        assert await read(chain, busy) == blocks
    async with chain_of(replace(config, body_bytes_max=200)) as chain:
        with pytest.raises(Unavailable, match="longer than 200 bytes"):
            await read(chain, busy)


# Old states.


def balance_of(account: ScriptHash) -> Invocation:
    return Invocation(GAS, "balanceOf", (Argument(ParameterType.HASH160, account),))


async def test_old_states_are_those_after_their_block(private_chain: PrivateChain, busy: range) -> None:
    payees = [ScriptHash(f"0x{secrets.token_hex(20)}") for _ in range(2)]
    refill = private_chain.accounts.refill
    heights: list[int] = []
    async with private_chain.client() as client:
        for payee in payees:
            call = transfer_gas(refill.script_hash, UInt160.from_string(payee), 5)
            execution = await client.execute([call], [Authority(refill)])
            heights.append(await _height_of(private_chain, execution.transaction))
    async with chain_of(private_chain.config()) as chain:
        await private_chain.in_step()
        questions = [
            (height + later, balance_of(p)) for p, height in zip(payees, heights, strict=True) for later in (-1, 0)
        ]
        answers = await chain.history.test_invoke_at(questions * 60)
        newest = await chain.reader.height()
        assert (await chain.history.test_invoke_at([(newest, balance_of(payees[0]))]))[0].stack == (5,)
    assert [answer.stack for answer in answers] == [(0,), (5,), (0,), (5,)] * 60


async def test_that_no_endpoint_keeps_old_states_is_said_as_such(private_chain: PrivateChain) -> None:
    lie = rejecting("invokescripthistoric", -606, "Old state not supported")
    async with counted(private_chain, lie=lie) as (chain, _):
        with pytest.raises(Refused, match="Old state not supported") as refused:
            await chain.history.test_invoke_at([(1, balance_of(GAS))])
    assert refused.value.code == "states-not-kept"


async def test_an_endpoint_that_keeps_no_states_leaves_it_to_those_that_do(private_chain: PrivateChain) -> None:
    lie = rejecting("invokescripthistoric", -606, "Old state not supported")
    async with proxy(private_chain.validator.http_url, lie) as forgetful:
        endpoints = (behind(forgetful), *private_chain.endpoints()[1:])
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            (execution,) = await chain.history.test_invoke_at([(1, balance_of(GAS))])
    assert execution.halted


async def test_that_nobody_answers_is_something_else(private_chain: PrivateChain) -> None:
    async with counted(private_chain, lie=breaking("invokescripthistoric")) as (chain, _):
        with pytest.raises(Unavailable):
            await chain.history.test_invoke_at([(1, balance_of(GAS))])


async def _height_of(private_chain: PrivateChain, transaction: str) -> int:
    async with private_chain.client() as client:
        height = await client.call("gettransactionheight", transaction)
    assert isinstance(height, int)
    return height

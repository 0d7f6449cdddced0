"""Pending transactions: each once, whoever tells of it; no gap unsaid, no lie passed on; and what each would do."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fakes.endpoint import answering, proxy
from fakes.patience import until
from fakes.payments import Payment, chain_of
from fakes.socket_endpoint import socket_proxy
from miniapp_platform.leash import Leash
from miniapp_platform.node import Node, NodePlan, free_ports
from private_chain import GAS, READY_S_MAX, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.ports import Sent
from tocsin.connect.reflex_ports import Gap, GapReason, MempoolTransaction
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, TxHash

PATIENCE_S = 10.0


class Reader:
    """Reads a feed in the background and keeps what it gave."""

    def __init__(self, chain: NeoChain) -> None:
        self._chain = chain
        self.transactions: list[MempoolTransaction] = []
        self.gaps: list[Gap] = []

    async def run(self) -> None:
        async for item in self._chain.mempool.events():
            if isinstance(item, Gap):
                self.gaps.append(item)
            else:
                self.transactions.append(item)

    @property
    def hashes(self) -> list[TxHash]:
        return [each.tx for each in self.transactions]

    async def sees(self, *sent: Sent) -> None:
        await until(lambda: {each.tx for each in sent} <= set(self.hashes))

    def listening(self, *names: str) -> bool:
        states = {source.endpoint: source.state for source in self._chain.mempool.sources()}
        return all(states[name] == "listening" for name in names)


@asynccontextmanager
async def reading(chain: NeoChain, *listening: str) -> AsyncGenerator[Reader]:
    """Reads the chain's feed from the moment on when these endpoints (by default all) are listened to."""
    reader = Reader(chain)
    task = asyncio.create_task(reader.run())
    try:
        await until(lambda: reader.listening(*(listening or [e.name for e in chain.config.endpoints])))
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def pay(chain: NeoChain, private_chain: PrivateChain, count: int = 1, start: int = 0) -> list[Sent]:
    calls = Payment.of(private_chain).calls
    return [await chain.sender.submit(f"payment-{start + number}", calls, purpose="refill") for number in range(count)]


async def test_every_transaction_comes_once_whoever_tells_of_it(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain, reading(chain) as reader:
        sent = await pay(chain, private_chain, 10)
        await reader.sees(*sent)
        providers = frozenset(chain.config.providers)
        await until(lambda: all(chain.mempool.seen_by(each.tx) == providers for each in sent))
    assert sorted(reader.hashes) == sorted(each.tx for each in sent)
    assert reader.gaps == []
    assert [source.told for source in chain.mempool.sources()] == [10, 10, 10]


async def test_a_transaction_tells_what_it_pays_and_who_signs_it(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain, reading(chain) as reader:
        armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
        fired = await chain.armed.fire("payment", armed)
        await reader.sees(fired)
    seen = reader.transactions[0]
    payer = private_chain.accounts.refill.hash
    assert (seen.tx, seen.sender, seen.signers) == (fired.tx, payer, (payer,))
    assert (seen.network_fee, seen.system_fee, seen.size) == (armed.network_fee, armed.system_fee, armed.size)
    assert (seen.script, seen.valid_until_block, seen.bound) == (armed.script, fired.valid_until_block, True)


async def test_a_rehearsal_shows_what_a_transaction_would_do(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain, reading(chain) as reader:
        with private_chain.frozen(private_chain.validator):
            fired = await chain.armed.fire("payment", await chain.armed.arm(payment.calls, purpose="refill"))
            await reader.sees(fired)
            execution = await chain.rehearser.rehearse(reader.transactions[0])
            agreed = await chain.rehearser.rehearse(reader.transactions[0], providers=2)
    transfer = execution.notifications[0]
    assert (execution.halted, transfer.contract, transfer.name) == (True, GAS, "Transfer")
    assert transfer.values[2] == payment.amount
    assert transfer.container == fired.tx
    assert agreed.notifications == execution.notifications
    await private_chain.in_step()


async def test_a_lie_about_a_rehearsal_is_disputed_where_two_providers_are_asked(private_chain: PrivateChain) -> None:
    validator, follower, _ = private_chain.endpoints()
    nothing = answering("invokecontainedscript", lambda result: result | {"notifications": []})
    async with proxy(validator.url, nothing) as liar:
        endpoints = (Endpoint("liar", "willow", liar.url), follower)
        async with (
            chain_of(private_chain.config(endpoints=endpoints)) as chain,
            reading(chain, follower.name) as reader,
        ):
            await reader.sees(*await pay(chain, private_chain))
            with pytest.raises(Unavailable) as disputed:
                await chain.rehearser.rehearse(reader.transactions[0], providers=2)
    assert disputed.value.code == "rehearsal-disputed"
    assert "liar: HALT, 0 notifications" in disputed.value.message


async def test_what_a_node_dropped_is_a_gap_and_found_among_the_pending(private_chain: PrivateChain) -> None:
    validator, follower, _ = private_chain.endpoints()
    assert follower.ws is not None

    def deaf(message: dict[str, Any]) -> dict[str, Any] | None:
        return None if message.get("method") == "mempool_event" else message

    async with socket_proxy(follower.ws, deaf) as socket:
        endpoints = (replace(validator, ws=None), replace(follower, ws=socket.url))
        config = private_chain.config(endpoints=endpoints)
        async with chain_of(config) as chain, reading(chain, follower.name) as reader:
            with private_chain.frozen(private_chain.validator):
                armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
                await chain.mempool.pending()  # what other tests left in the pools is given out by this
                fired = await chain.armed.fire("payment", armed)
                await socket.tell({"jsonrpc": "2.0", "method": "event_missed", "params": []})
                await until(lambda: bool(reader.gaps))
                caught_up = await chain.mempool.pending()
                again = await chain.mempool.pending()
    assert reader.gaps == [Gap(follower.name, GapReason.MISSED, "the node dropped events")]
    assert ([each.tx for each in caught_up], again, reader.transactions) == ([fired.tx], [], [])
    await private_chain.in_step()


async def test_a_lost_subscription_is_taken_up_again_and_the_gap_is_told(private_chain: PrivateChain) -> None:
    follower = private_chain.endpoints()[1]
    assert follower.ws is not None
    async with socket_proxy(follower.ws) as socket:
        config = private_chain.config(endpoints=(replace(follower, ws=socket.url),), quorum=1)
        async with chain_of(config) as chain, reading(chain) as reader:
            await socket.break_off()
            await until(lambda: bool(reader.gaps))
            await reader.sees(*await pay(chain, private_chain))
    assert [(gap.endpoint, gap.reason) for gap in reader.gaps] == [(follower.name, GapReason.RECONNECTED)]


async def test_a_frozen_node_is_noticed_and_taken_up_again(private_chain: PrivateChain) -> None:
    endpoints = private_chain.endpoints()
    frozen = endpoints[2].name
    async with chain_of(private_chain.config()) as chain, reading(chain) as reader:
        with private_chain.frozen(private_chain.followers[1]):
            await until(lambda: not reader.listening(frozen))
            await reader.sees(*await pay(chain, private_chain))
        await until(lambda: reader.listening(frozen))
    assert [(gap.endpoint, gap.reason) for gap in reader.gaps] == [(frozen, GapReason.RECONNECTED)]
    await private_chain.in_step()


async def test_a_false_content_under_a_real_hash_is_dropped_and_its_teller_named(private_chain: PrivateChain) -> None:
    validator, follower, other = private_chain.endpoints()
    assert validator.ws is not None

    def harmless(message: dict[str, Any]) -> dict[str, Any]:
        if message.get("method") != "mempool_event":
            return message
        news = message["params"][0]
        return message | {"params": [news | {"transaction": news["transaction"] | {"script": "QA=="}}]}

    async with socket_proxy(validator.ws, harmless) as socket:
        endpoints = (replace(validator, name="liar", ws=socket.url), follower, other)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain, reading(chain) as reader:
            sent = await pay(chain, private_chain, 3)
            await reader.sees(*sent)
            await until(lambda: chain.mempool.sources()[0].suspicion is not None)
            suspicion = chain.mempool.sources()[0].suspicion
            status = (await chain.survey())[0]
    assert sorted(reader.hashes) == sorted(each.tx for each in sent)
    assert all(each.script != b"\x40" for each in reader.transactions)
    assert "content that does not have this hash" in (suspicion or "")
    assert (status.set_aside, status.endpoint.name) == (True, "liar")
    assert "content that does not have this hash" in (status.problem or "")


async def test_an_endpoint_that_swallows_what_all_others_tell_of_is_named(private_chain: PrivateChain) -> None:
    validator, follower, other = private_chain.endpoints()
    assert validator.ws is not None

    def deaf(message: dict[str, Any]) -> dict[str, Any] | None:
        return None if message.get("method") == "mempool_event" else message

    async with socket_proxy(validator.ws, deaf) as socket:
        endpoints = (replace(validator, name="deaf", ws=socket.url), follower, other)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain, reading(chain) as reader:
            await reader.sees(*await pay(chain, private_chain, 25))
            suspicions = {source.endpoint: source.suspicion for source in chain.mempool.sources()}
    assert "silent about the last" in (suspicions.pop("deaf") or "")
    assert set(suspicions.values()) == {None}


async def test_without_any_websocket_the_feed_says_so_at_once(private_chain: PrivateChain) -> None:
    endpoints = tuple(replace(endpoint, ws=None) for endpoint in private_chain.endpoints())
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
        with pytest.raises(Unavailable) as off:
            await anext(chain.mempool.events())
    assert off.value.code == "mempool-subscriptions-off"
    assert "no WebSocket is configured" in off.value.message


class StingyPlan(NodePlan):
    """A node without mempool subscriptions that spends next to nothing on a rehearsal."""

    def configuration(self) -> str:
        configuration = json.loads(super().configuration())
        configuration["ApplicationConfiguration"]["RPC"] |= {"MempoolSubscriptionsEnabled": False, "MaxGasInvoke": 1}
        return json.dumps(configuration)


@pytest.fixture(scope="module")
def stingy(private_chain: PrivateChain, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fourth node of the chain, of that kind."""
    leash = Leash.start()
    rpc_port, p2p_port = free_ports(2)
    seed = private_chain.validator.plan.p2p_port
    plan = StingyPlan(
        **{
            name: getattr(private_chain.followers[0].plan, name)
            for name in ("magic", "block_ms", "committee", "consensus")
        },
        name="stingy",
        provider="dogwood",
        directory=tmp_path_factory.mktemp("stingy"),
        rpc_port=rpc_port,
        p2p_port=p2p_port,
        seed_ports=(seed,),
    )
    node = Node(plan, leash)
    try:
        node.start()
        asyncio.run(_synced(private_chain, node))
        yield Endpoint(node.name, node.provider, node.http_url, node.ws_url)
    finally:
        node.kill()
        assert asyncio.run(leash.release())


async def _synced(private_chain: PrivateChain, node: Node) -> None:
    await node.wait_ready(READY_S_MAX)
    async with private_chain.client(node) as client:
        await client.wait_height(await private_chain.height(), READY_S_MAX)


async def test_subscriptions_switched_off_are_told_from_an_unreachable_node(
    private_chain: PrivateChain, stingy: Endpoint
) -> None:
    follower = private_chain.endpoints()[1]
    gone = Endpoint("gone", "elm", "http://127.0.0.1:9", "ws://127.0.0.1:9/ws")
    async with chain_of(private_chain.config(endpoints=(stingy, follower, gone))) as chain:
        off, on, lost = await chain.mempool.probe()
    assert (off.state, on.state, lost.state) == ("off", "listening", "lost")
    assert "mempool subscriptions are disabled" in off.detail


async def test_the_feed_ends_when_every_endpoint_has_subscriptions_off(
    private_chain: PrivateChain, stingy: Endpoint
) -> None:
    endpoints = (stingy, replace(private_chain.endpoints()[0], ws=None))
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain, asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable) as off:
            await anext(chain.mempool.events())
    assert off.value.code == "mempool-subscriptions-off"
    assert off.value.data["stingy"] == "Internal error: mempool subscriptions are disabled (-32603)"


async def test_one_endpoint_with_subscriptions_on_is_enough(private_chain: PrivateChain, stingy: Endpoint) -> None:
    follower = private_chain.endpoints()[1]
    config = private_chain.config(endpoints=(stingy, follower))
    async with chain_of(config) as chain, reading(chain, follower.name) as reader:
        await reader.sees(*await pay(chain, private_chain))


PLENTY = Gas(10**9)


def pending(private_chain: PrivateChain, script: bytes, system_fee: Gas = PLENTY) -> MempoolTransaction:
    """A transaction with this script as a node would tell of it; no pool has it, which a rehearsal does not mind."""
    account = ScriptHash(private_chain.accounts.attacker.hash)
    content: dict[str, Json] = {
        "hash": "0x" + "01" * 32,
        "size": 200,
        "version": 0,
        "nonce": 1,
        "sysfee": str(system_fee.fractions),
        "netfee": "1000000",
        "validuntilblock": 10_000,
        "signers": [{"account": account, "scopes": "CalledByEntry"}],
        "attributes": [],
        "script": base64.b64encode(script).decode(),
        "witnesses": [{"invocation": "", "verification": ""}],
    }
    return MempoolTransaction(
        TxHash("0x" + "01" * 32),
        account,
        (account,),
        network_fee=Gas(10**6),
        system_fee=system_fee,
        size=200,
        script=script,
        valid_until_block=10_000,
        endpoint="somebody",
        bound=False,
        content=content,
    )


ABORT = b"\x38"
FOR_EVER = b"\x22\x00"
"""A jump to itself."""


async def test_an_ordinary_fault_is_an_execution(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        execution = await chain.rehearser.rehearse(pending(private_chain, ABORT))
    assert (execution.halted, execution.notifications) == (False, ())


async def test_an_execution_over_the_limit_of_a_rehearsal_can_not_be_judged(
    private_chain: PrivateChain, stingy: Endpoint
) -> None:
    async with chain_of(private_chain.config(endpoints=(stingy,), quorum=1)) as chain:
        assert not (await chain.rehearser.rehearse(pending(private_chain, ABORT))).halted
        with pytest.raises(Unavailable) as unjudged:
            await chain.rehearser.rehearse(pending(private_chain, FOR_EVER))
    assert unjudged.value.code == "rehearsal-over-gas-limit"


async def test_an_execution_that_comes_to_the_end_of_what_it_pays_is_an_ordinary_fault(
    private_chain: PrivateChain, stingy: Endpoint
) -> None:
    async with chain_of(private_chain.config(endpoints=(stingy,), quorum=1)) as chain:
        execution = await chain.rehearser.rehearse(pending(private_chain, FOR_EVER, system_fee=Gas(10**7)))
    assert not execution.halted


async def test_a_rehearsal_that_nobody_answers_can_not_be_judged(private_chain: PrivateChain) -> None:
    endpoints = tuple(replace(e, url="http://127.0.0.1:9", ws=None) for e in private_chain.endpoints())
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
        with pytest.raises(Unavailable) as unjudged:
            await chain.rehearser.rehearse(pending(private_chain, ABORT))
    assert unjudged.value.code == "rehearsal-unanswered"


async def test_a_frozen_endpoint_does_not_hold_up_a_rehearsal(private_chain: PrivateChain) -> None:
    config = private_chain.config()
    patient = replace(config, times=replace(config.times, request_s=30.0))
    async with chain_of(patient) as chain:
        await chain.rehearser.rehearse(pending(private_chain, ABORT))
        with private_chain.frozen(private_chain.validator):
            async with asyncio.timeout(2.0):
                await chain.rehearser.rehearse(pending(private_chain, ABORT))
    await private_chain.in_step()

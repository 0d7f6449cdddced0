"""Cancelling: of a transaction and its cancellation one takes effect, and which one it is is never guessed."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from fakes.endpoint import ProxyEndpoint, proxy, rejecting
from fakes.outbox import Died, MemoryOutbox, OutboxThatDies
from fakes.payments import Payment, chain_of, through
from private_chain import PrivateChain
from tocsin.connect.neo.network import FeeLimits
from tocsin.connect.neo.rivals import cancel_key
from tocsin.connect.neo.transactions import network_fee_of
from tocsin.connect.ports import OutboxStatus
from tocsin.connect.reflex_ports import FeeBid
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused
from tocsin.domain.hashes import TxHash

WITHHELD = frozenset({"sendrawtransaction"})


async def hoarders(private_chain: PrivateChain, stack: AsyncExitStack) -> list[ProxyEndpoint]:
    """A proxy before each node that accepts transactions and keeps them to itself."""
    return [await stack.enter_async_context(proxy(node.http_url, withheld=WITHHELD)) for node in private_chain.nodes]


async def statuses(outbox: MemoryOutbox, key: str) -> tuple[OutboxStatus, OutboxStatus]:
    """Of what stands under the key, and of its cancellation."""
    entry, cancellation = await outbox.get(key), await outbox.get(cancel_key(key))
    assert entry is not None
    assert cancellation is not None
    return entry.status, cancellation.status


async def test_a_pending_transaction_is_cancelled(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    followers = private_chain.endpoints()[1:]
    async with chain_of(private_chain.config(endpoints=followers), outbox) as chain:
        with private_chain.frozen(private_chain.validator):
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            cancellation = await chain.sender.cancel("run-1")
            assert await chain.sender.cancel("run-1") == cancellation
        included = await chain.sender.wait(cancellation)
        with pytest.raises(Failed) as failed:
            await chain.sender.wait(sent)
        # The key stays used, and what was cancelled is not offered again.
        assert await chain.sender.submit("run-1", payment.calls, purpose="refill") == sent
        with pytest.raises(Refused) as settled:
            await chain.sender.cancel("run-1-other")
    assert failed.value.code == "cancelled"
    assert failed.value.data["cancelled_by"] == included.tx == cancellation.tx
    assert settled.value.code == "outbox-key-unknown"
    assert await statuses(outbox, "run-1") == (OutboxStatus.CANCELLED, OutboxStatus.INCLUDED)
    assert await private_chain.gas_of(payment.payee) == 0


async def test_a_cancellation_pays_more_and_expires_with_what_it_cancels(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    followers = private_chain.endpoints()[1:]
    async with chain_of(private_chain.config(endpoints=followers), outbox) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        with private_chain.frozen(private_chain.validator):
            fired = await chain.armed.fire("run-1", armed, above=FeeBid(Gas(10**7), 250))
            cancellation = await chain.sender.cancel("run-1")
        await chain.sender.wait(cancellation)
    entry = await outbox.get(cancel_key("run-1"))
    assert entry is not None
    assert network_fee_of(entry.raw) > fired.network_fee.fractions
    assert (entry.valid_until_block, entry.purpose) == (fired.valid_until_block, "refill")
    assert await private_chain.gas_of(payment.payee) == 0


async def test_a_transaction_that_never_reached_a_node_is_cancelled_too(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with AsyncExitStack() as stack:
        proxies = await hoarders(private_chain, stack)
        chain = await stack.enter_async_context(chain_of(private_chain.config(endpoints=through(*proxies)), outbox))
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        for each in proxies:
            each.withheld = frozenset()
        waiting = asyncio.create_task(chain.sender.wait(await chain.sender.cancel("run-1")))
        with pytest.raises(Failed) as failed:
            await chain.sender.wait(sent)
        await waiting
    assert failed.value.code == "cancelled"
    assert await private_chain.gas_of(payment.payee) == 0


async def test_a_cancellation_that_comes_too_late_is_reported_as_lost(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), outbox) as chain:
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        async with asyncio.timeout(10):
            while await private_chain.gas_of(payment.payee) == 0:
                pass
        await private_chain.in_step()
        with pytest.raises(Failed) as lost:
            await chain.sender.cancel("run-1")
        included = await chain.sender.wait(sent)
    assert lost.value.code == "cancel-lost"
    assert lost.value.data["not_cancelled"] == sent.tx
    assert included.execution.halted
    assert await statuses(outbox, "run-1") == (OutboxStatus.INCLUDED, OutboxStatus.CANCELLED)


async def test_a_cancellation_that_loses_the_race_is_lost_for_whoever_waits_for_it(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with AsyncExitStack() as stack:
        proxies = await hoarders(private_chain, stack)
        config = private_chain.config(endpoints=through(*proxies))
        chain = await stack.enter_async_context(chain_of(config, outbox))
        direct = await stack.enter_async_context(chain_of(private_chain.config(), outbox))
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        cancellation = await chain.sender.cancel("run-1")
        entry = await outbox.get("run-1")
        assert entry is not None
        # Somebody else had what was to be cancelled, and brings it to the chain.
        assert (await direct.presigner.offer(entry.raw)).accepted_by
        with pytest.raises(Failed) as lost:
            await chain.sender.wait(cancellation)
        assert (await chain.sender.wait(sent)).execution.halted
    assert lost.value.code == "cancel-lost"
    assert await statuses(outbox, "run-1") == (OutboxStatus.INCLUDED, OutboxStatus.CANCELLED)
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_after_a_crash_before_the_offer_the_cancellation_is_what_is_sent(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), OutboxThatDies(outbox)) as dying:
        with pytest.raises(Died):
            await dying.sender.submit("run-1", payment.calls, purpose="refill")
        with pytest.raises(Died):
            await dying.sender.cancel("run-1")
    async with chain_of(private_chain.config(), outbox) as chain:
        # Neither was ever offered. Submitting again, and waiting, offer the cancellation and not what it cancels.
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        with pytest.raises(Failed) as failed:
            await chain.sender.wait(sent)
    assert failed.value.code == "cancelled"
    assert await private_chain.gas_of(payment.payee) == 0


async def test_one_endpoint_that_claims_the_cancellation_is_not_believed(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    claims: set[TxHash] = set()

    def lie(request: dict[str, object], reply: dict[str, object]) -> dict[str, object]:
        execution = {"trigger": "Application", "vmstate": "HALT", "gasconsumed": "1", "stack": [], "notifications": []}
        made_up: dict[str, object] = {"getapplicationlog": {"executions": [execution]}, "gettransactionheight": 1}
        method, parameters = str(request["method"]), request["params"]
        if method not in made_up or not isinstance(parameters, list) or parameters[0] not in claims:
            return reply
        return {"jsonrpc": "2.0", "id": request["id"], "result": made_up[method]}

    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, lie, withheld=WITHHELD) as liar,
        proxy(b, withheld=WITHHELD) as two,
        proxy(c, withheld=WITHHELD) as three,
    ):
        config = private_chain.config(endpoints=through(liar, two, three))
        config = replace(config, times=replace(config.times, outcome_s=1.0))
        async with chain_of(config) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            cancellation = await chain.sender.cancel("run-1")
            claims.add(cancellation.tx)
            with pytest.raises(OutcomeUnknown) as unknown:
                await chain.sender.wait(sent)
    assert "proxy-1: excluded in block 1" in unknown.value.message


async def test_a_cancellation_that_was_refused_and_kept_cancels_all_the_same(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, withheld=WITHHELD) as one,
        proxy(b, withheld=WITHHELD) as two,
        proxy(c, withheld=WITHHELD) as three,
        chain_of(private_chain.config(endpoints=through(one, two, three)), outbox) as chain,
    ):
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        for each in (one, two, three):
            each.lie, each.withheld = rejecting("sendrawtransaction", -511, "insufficient funds"), frozenset()
        with pytest.raises(OutcomeUnknown) as refused:
            await chain.sender.cancel("run-1")
        with pytest.raises(Failed) as failed:
            await chain.sender.wait(sent)
    assert refused.value.code == "transaction-refused"
    assert failed.value.code == "cancelled"
    assert failed.value.data["cancelled_by"] == refused.value.data["tx"]
    assert await private_chain.gas_of(payment.payee) == 0


async def test_what_is_settled_can_not_be_cancelled(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        await chain.sender.wait(await chain.sender.submit("run-1", payment.calls, purpose="refill"))
        with pytest.raises(Refused) as refused:
            await chain.sender.cancel("run-1")
    assert refused.value.code == "nothing-to-cancel"


async def test_a_cancellation_above_the_maximum_fee_is_refused(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    limit = Gas(4_000_000)
    followers = private_chain.endpoints()[1:]
    config = private_chain.config(endpoints=followers, fees=FeeLimits(network_max=limit))
    async with chain_of(config, outbox) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        with private_chain.frozen(private_chain.validator):
            fired = await chain.armed.fire("run-1", armed, above=FeeBid(Gas(10**9), 250))
            with pytest.raises(Refused) as refused:
                await chain.sender.cancel("run-1")
        await chain.sender.wait(fired)
    assert refused.value.code == "fee-over-limit"
    assert await outbox.get(cancel_key("run-1")) is None


async def test_keys_of_cancellations_are_reserved(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        armed = await chain.armed.arm(payment.calls, purpose="refill")
        for attempt in (
            chain.sender.submit(cancel_key("run-1"), payment.calls, purpose="refill"),
            chain.armed.fire(cancel_key("run-1"), armed),
            chain.sender.cancel(cancel_key("run-1")),
        ):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code == "key-reserved"


async def test_a_transaction_is_not_valid_before_its_time(private_chain: PrivateChain) -> None:
    from tocsin.connect.neo import mamba

    async with chain_of(private_chain.config()) as chain:
        key = private_chain.accounts.refill
        height = await chain.reader.height()
        armed = await chain.armed.arm(Payment.of(private_chain).calls, purpose="refill")
        unsigned = mamba.Unsigned(
            armed.script,
            armed.account,
            armed.contracts,
            nonce=1,
            system_fee=armed.system_fee.fractions,
            network_fee=10 * armed.network_fee.fractions,
            valid_until_block=height + 200,
            attributes=(mamba.NotValidBefore(height + 100),),
        )
        public_key = bytes.fromhex(key.public_key_hex)
        sealed = mamba.seal(unsigned, public_key=public_key, private_key=key.private_key, magic=private_chain.magic)
        early = await chain.presigner.offer(sealed.raw)
        assert await chain.sender.recall("none") is None
    assert early.accepted_by == ()
    assert f"not yet valid: NotValidBefore = {height + 100}" in early.reasons

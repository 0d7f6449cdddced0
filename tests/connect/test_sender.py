"""Sending: one transaction a key, whatever crashes, lies or vanishes; and what becomes of it is never guessed."""

import asyncio
from dataclasses import replace

import pytest

from fakes.endpoint import answering, breaking, honest, proxy, rejecting
from fakes.outbox import Died, MemoryOutbox, OutboxThatDies
from fakes.payments import Payment, chain_of, through
from private_chain import GAS, PrivateChain
from tocsin.connect.neo.network import Endpoint, FeeLimits
from tocsin.connect.ports import Invocation, OutboxStatus, Sent
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused
from tocsin.domain.hashes import TxHash

UNFUNDED = -511
VERIFICATION_FAILED = -500
POOL_FULL = -502


async def test_a_transaction_is_included_and_halts_on_the_word_of_a_quorum(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), outbox) as chain:
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        included = await chain.sender.wait(sent)
        assert await chain.sender.recall("run-1") == sent
    assert (included.tx, included.execution.halted, included.execution.stack) == (sent.tx, True, (True,))
    assert included.quorum.reached
    assert included.height <= sent.valid_until_block
    transfer = included.execution.notifications[0]
    assert (transfer.contract, transfer.name, transfer.container) == (GAS, "Transfer", sent.tx)
    assert await private_chain.gas_of(payment.payee) == payment.amount
    settled = await outbox.get("run-1")
    assert settled is not None
    assert (settled.status, settled.height) == (OutboxStatus.INCLUDED, included.height)


async def test_a_transaction_is_valid_for_about_two_minutes_by_default(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        height = await chain.reader.height()
        sent = await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="refill")
    assert 1_200 <= sent.valid_until_block - height <= 1_220


async def test_the_same_key_sends_one_transaction_only(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        first = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        again = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        await chain.sender.wait(first)
        afterwards = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        await chain.sender.wait(afterwards)
    assert first == again == afterwards
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_two_keys_with_the_same_call_are_two_transactions(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with chain_of(private_chain.config()) as chain:
        sent = [await chain.sender.submit(key, payment.calls, purpose="refill") for key in ("run-1", "run-2")]
        await asyncio.gather(*(chain.sender.wait(each) for each in sent))
    assert await private_chain.gas_of(payment.payee) == 2 * payment.amount


async def test_submits_of_one_key_at_the_same_time_send_one_transaction(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    config = private_chain.config()
    async with chain_of(config, outbox) as one, chain_of(config, outbox) as other:
        sent = await asyncio.gather(
            *(chain.sender.submit("run-1", payment.calls, purpose="refill") for chain in (one, other, one, other))
        )
        await asyncio.gather(*(one.sender.wait(each) for each in sent))
    assert len(set(sent)) == 1
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_after_a_crash_between_outbox_and_broadcast_the_same_bytes_are_sent(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), OutboxThatDies(outbox)) as dying:
        with pytest.raises(Died):
            await dying.sender.submit("run-1", payment.calls, purpose="refill")
    before = await outbox.get("run-1")
    assert before is not None
    assert await private_chain.gas_of(payment.payee) == 0

    async with chain_of(private_chain.config(), outbox) as chain:
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        included = await chain.sender.wait(sent)
    after = await outbox.get("run-1")
    assert after is not None
    assert (sent.tx, after.raw) == (before.tx, before.raw)
    assert included.execution.halted
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_what_a_crash_left_unsent_is_sent_by_waiting_for_it(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), OutboxThatDies(outbox)) as dying:
        with pytest.raises(Died):
            await dying.sender.submit("run-1", payment.calls, purpose="refill")
    async with chain_of(private_chain.config(), outbox) as chain:
        sent = await chain.sender.recall("run-1")
        assert sent is not None
        await chain.sender.wait(sent)
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_faulting_rehearsal_refuses_and_leaves_no_trace(private_chain: PrivateChain) -> None:
    outbox = MemoryOutbox()
    async with chain_of(private_chain.config(), outbox) as chain:
        with pytest.raises(Refused) as refused:
            await chain.sender.submit("run-1", [Invocation(GAS, "pauseAll")], purpose="refill")
    assert refused.value.code == "rehearsal-faulted"
    assert "pauseAll" in refused.value.message
    assert await outbox.get("run-1") is None


async def test_one_endpoint_that_cries_fault_does_not_stop_a_transaction(private_chain: PrivateChain) -> None:
    fault = answering("invokescript", lambda result: result | {"state": "FAULT", "exception": "made up"})
    validator, *followers = private_chain.endpoints()
    payment = Payment.of(private_chain)
    async with proxy(validator.url, fault) as liar:
        endpoints = (Endpoint("liar", "willow", liar.url), *followers)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            await chain.sender.wait(await chain.sender.submit("run-1", payment.calls, purpose="refill"))
    assert await private_chain.gas_of(payment.payee) == payment.amount


@pytest.mark.parametrize("fees", [FeeLimits(system_max=Gas(1_000)), FeeLimits(network_max=Gas(1_000))])
async def test_a_fee_above_its_limit_is_refused(private_chain: PrivateChain, fees: FeeLimits) -> None:
    outbox = MemoryOutbox()
    async with chain_of(private_chain.config(fees=fees), outbox) as chain:
        with pytest.raises(Refused) as refused:
            await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="refill")
    assert refused.value.code == "fee-over-limit"
    assert await outbox.get("run-1") is None


async def test_a_purpose_without_a_key_is_refused(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        with pytest.raises(Refused) as refused:
            await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="admin")
    assert refused.value.code == "key-missing"


async def test_an_entry_is_not_sent_for_another_purpose(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="refill")
        with pytest.raises(Refused) as refused:
            await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="pause")
    assert refused.value.code == "key-of-another-purpose"


async def test_what_every_endpoint_refuses_for_good_is_unknown_and_never_offered_again(
    private_chain: PrivateChain,
) -> None:
    outbox = MemoryOutbox()
    symbol = [Invocation(GAS, "symbol")]
    async with chain_of(private_chain.config(), outbox) as chain:
        # The pause key of this chain holds no GAS: the rehearsal does not mind, the pools do.
        with pytest.raises(OutcomeUnknown) as refused:
            await chain.sender.submit("run-1", symbol, purpose="pause")
        standing = await outbox.get("run-1")
        with pytest.raises(OutcomeUnknown) as again:
            await chain.sender.submit("run-1", symbol, purpose="pause")
    assert (refused.value.code, again.value.code) == ("transaction-refused", "transaction-refused")
    assert standing is not None
    assert standing.status is OutboxStatus.REFUSED
    assert await outbox.get("run-1") == standing
    assert refused.value.data["tx"] == standing.tx
    assert refused.value.data["valid_until_block"] == standing.valid_until_block
    assert str(UNFUNDED) in refused.value.message


async def test_what_was_refused_has_failed_once_its_last_block_is_past(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    refusing = rejecting("sendrawtransaction", UNFUNDED, "insufficient funds")
    withheld = frozenset({"sendrawtransaction"})
    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, refusing, withheld=withheld) as one,
        proxy(b, refusing, withheld=withheld) as two,
        proxy(c, refusing, withheld=withheld) as three,
    ):
        config = private_chain.config(endpoints=through(one, two, three), valid_until_blocks=5)
        async with chain_of(config, outbox) as chain:
            with pytest.raises(OutcomeUnknown) as refused:
                await chain.sender.submit("run-1", payment.calls, purpose="refill")
            # The account has been funded, say: now they would take it, and must not be given it.
            for each in (one, two, three):
                each.lie, each.withheld = honest, frozenset()
            sent = await chain.sender.recall("run-1")
            assert sent is not None
            with pytest.raises(Failed) as failed:
                await chain.sender.wait(sent)
            assert await chain.reader.height() >= sent.valid_until_block
        assert [each.seen.count("sendrawtransaction") for each in (one, two, three)] == [1, 1, 1]
    assert (refused.value.code, failed.value.code) == ("transaction-refused", "expired")
    assert await private_chain.gas_of(payment.payee) == 0


async def test_what_a_node_refused_and_kept_is_included_after_all(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    refusing = rejecting("sendrawtransaction", UNFUNDED, "insufficient funds")
    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, refusing) as one,
        proxy(b, refusing) as two,
        proxy(c, refusing) as three,
        chain_of(private_chain.config(endpoints=through(one, two, three)), outbox) as chain,
    ):
        with pytest.raises(OutcomeUnknown) as refused:
            await chain.sender.submit("run-1", payment.calls, purpose="refill")
        sent = await chain.sender.recall("run-1")
        assert sent is not None
        included = await chain.sender.wait(sent)
    assert refused.value.code == "transaction-refused"
    assert (included.tx, included.execution.halted) == (sent.tx, True)
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_node_without_the_log_of_a_transaction_does_not_say_that_no_block_holds_it(
    private_chain: PrivateChain,
) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    no_log = rejecting("getapplicationlog", -105, "Unknown script container")
    async with (
        proxy(private_chain.nodes[0].http_url, no_log) as one,
        proxy(private_chain.nodes[1].http_url, no_log) as two,
    ):
        config = private_chain.config(endpoints=through(one, two), valid_until_blocks=3)
        config = replace(config, times=replace(config.times, silence_s=1.5))
        async with chain_of(config, outbox) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            with pytest.raises(OutcomeUnknown) as unknown:
                await chain.sender.wait(sent)
            assert await chain.reader.height() > sent.valid_until_block
            standing = await outbox.get("run-1")
            one.lie = two.lie = honest
            included = await chain.sender.wait(sent)
    assert "but not its application log: Unknown script container (-105)" in unknown.value.message
    assert standing is not None
    assert standing.status is OutboxStatus.STORED
    assert included.execution.halted
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_refusal_is_no_refusal_while_one_endpoint_has_not_said_its_word(private_chain: PrivateChain) -> None:
    outbox, payment = MemoryOutbox(), Payment.of(private_chain)
    validator, follower, other = (node.http_url for node in private_chain.nodes)
    withheld = frozenset({"sendrawtransaction"})
    refusing = rejecting("sendrawtransaction", VERIFICATION_FAILED, "verification failed")
    async with (
        proxy(validator, refusing, withheld=withheld) as first,
        proxy(follower, refusing, withheld=withheld) as second,
        proxy(other, breaking("sendrawtransaction")) as third,
    ):
        config = private_chain.config(endpoints=through(first, second, third))
        async with chain_of(config, outbox) as chain:
            with pytest.raises(OutcomeUnknown) as unknown:
                await chain.sender.submit("run-1", payment.calls, purpose="refill")
            # The third had taken it, and that is what comes out.
            sent = await chain.sender.recall("run-1")
            assert sent is not None
            included = await chain.sender.wait(sent)
    assert unknown.value.data["tx"] == sent.tx
    assert included.execution.halted
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_refusal_says_nothing_about_bytes_that_were_there_before(private_chain: PrivateChain) -> None:
    """The crash may have come after they were offered: whoever refuses them now can't say that nobody has them."""
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    async with chain_of(private_chain.config(), OutboxThatDies(outbox)) as dying:
        with pytest.raises(Died):
            await dying.sender.submit("run-1", payment.calls, purpose="refill")
    refusing = rejecting("sendrawtransaction", VERIFICATION_FAILED, "verification failed")
    async with (
        proxy(private_chain.validator.http_url, refusing) as only,
        chain_of(private_chain.config(endpoints=through(only), quorum=1), outbox) as chain,
    ):
        # The node behind the endpoint takes them, whatever the endpoint says.
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        assert (await chain.sender.wait(sent)).execution.halted
    settled = await outbox.get("run-1")
    assert settled is not None
    assert settled.status is OutboxStatus.INCLUDED


async def test_a_full_pool_is_no_refusal(private_chain: PrivateChain) -> None:
    outbox = MemoryOutbox()
    full = rejecting("sendrawtransaction", POOL_FULL, "mempool capacity reached")
    withheld = frozenset({"sendrawtransaction"})
    async with (
        proxy(private_chain.validator.http_url, full, withheld=withheld) as only,
        chain_of(private_chain.config(endpoints=through(only), quorum=1), outbox) as chain,
    ):
        with pytest.raises(OutcomeUnknown):
            await chain.sender.submit("run-1", Payment.of(private_chain).calls, purpose="refill")
    standing = await outbox.get("run-1")
    assert standing is not None
    assert standing.status is OutboxStatus.STORED


async def test_an_endpoint_that_takes_the_bytes_for_itself_does_not_stop_them(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    validator, follower, _ = private_chain.endpoints()
    async with proxy(validator.url, withheld=frozenset({"sendrawtransaction"})) as hoarder:
        endpoints = (Endpoint("hoarder", "willow", hoarder.url), follower)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            await chain.sender.wait(await chain.sender.submit("run-1", payment.calls, purpose="refill"))
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_bytes_that_got_lost_are_broadcast_again_while_waiting(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    async with proxy(private_chain.validator.http_url, withheld=frozenset({"sendrawtransaction"})) as forgetful:
        config = private_chain.config(endpoints=through(forgetful), quorum=1)
        async with chain_of(config) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            forgetful.withheld = frozenset()
            included = await chain.sender.wait(sent)
    assert included.execution.halted
    assert forgetful.seen.count("sendrawtransaction") >= 2
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_transaction_that_was_never_broadcast_expires_and_has_failed(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    withheld = frozenset({"sendrawtransaction"})
    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, withheld=withheld) as one,
        proxy(b, withheld=withheld) as two,
        proxy(c, withheld=withheld) as three,
    ):
        config = private_chain.config(endpoints=through(one, two, three), valid_until_blocks=3)
        async with chain_of(config, outbox) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            with pytest.raises(Failed) as failed:
                await chain.sender.wait(sent)
            # The key stays used: what has failed is not signed anew behind anybody's back.
            assert await chain.sender.submit("run-1", payment.calls, purpose="refill") == sent
            with pytest.raises(Failed):
                await chain.sender.wait(sent)
    assert failed.value.code == "expired"
    settled = await outbox.get("run-1")
    assert settled is not None
    assert settled.status is OutboxStatus.EXPIRED
    assert await private_chain.gas_of(payment.payee) == 0


async def test_without_a_quorum_an_inclusion_is_sent_but_unconfirmed(private_chain: PrivateChain) -> None:
    payment, outbox = Payment.of(private_chain), MemoryOutbox()
    config = private_chain.config()
    config = replace(config, times=replace(config.times, confirm_s=0.3))
    async with private_chain.stopped(*private_chain.followers), chain_of(config, outbox) as chain:
        sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
        with pytest.raises(OutcomeUnknown) as unknown:
            await chain.sender.wait(sent)
    data = unknown.value.data
    assert unknown.value.code == "unconfirmed"
    assert (data["confirmed"], data["needed"], data["of"], data["halted"]) == (1, 2, 3, True)
    async with chain_of(private_chain.config(), outbox) as chain:
        included = await chain.sender.wait(sent)
    assert included.height == data["height"]
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_the_wait_is_over_when_all_endpoints_have_vanished(private_chain: PrivateChain) -> None:
    endpoints = tuple(replace(endpoint, url="http://127.0.0.1:9") for endpoint in private_chain.endpoints())
    config = private_chain.config(endpoints=endpoints)
    config = replace(config, times=replace(config.times, silence_s=0.3))
    async with chain_of(config) as chain:
        with pytest.raises(OutcomeUnknown) as unknown:
            await chain.sender.wait(Sent("run-1", TxHash("0x" + "01" * 32), 10**6))
        with pytest.raises(Refused) as refused:
            await chain.sender.submit("run-2", Payment.of(private_chain).calls, purpose="refill")
    assert unknown.value.code == "endpoints-silent"
    assert refused.value.code == "not-rehearsed"


async def test_a_frozen_endpoint_does_not_hold_up_a_transaction(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    config = private_chain.config()
    patient = replace(config, times=replace(config.times, request_s=60.0))
    with private_chain.frozen(private_chain.followers[0]):
        async with asyncio.timeout(10), chain_of(patient) as chain:
            included = await chain.sender.wait(await chain.sender.submit("run-1", payment.calls, purpose="refill"))
    assert included.quorum.confirmed == 2
    await private_chain.in_step()


async def test_one_endpoint_that_claims_an_inclusion_is_not_believed(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)

    def lie(request: dict[str, object], reply: dict[str, object]) -> dict[str, object]:
        execution = {"trigger": "Application", "vmstate": "HALT", "gasconsumed": "1", "stack": [], "notifications": []}
        made_up: dict[str, object] = {"getapplicationlog": {"executions": [execution]}, "gettransactionheight": 1}
        method = str(request["method"])
        if method not in made_up:
            return reply
        return {"jsonrpc": "2.0", "id": request["id"], "result": made_up[method]}

    withheld = frozenset({"sendrawtransaction"})
    a, b, c = (node.http_url for node in private_chain.nodes)
    async with (
        proxy(a, lie, withheld=withheld) as liar,
        proxy(b, withheld=withheld) as two,
        proxy(c, withheld=withheld) as three,
    ):
        config = private_chain.config(endpoints=through(liar, two, three), valid_until_blocks=3)
        config = replace(config, times=replace(config.times, confirm_s=0.3))
        async with chain_of(config) as chain:
            sent = await chain.sender.submit("run-1", payment.calls, purpose="refill")
            with pytest.raises(OutcomeUnknown) as unknown:
                await chain.sender.wait(sent)
    assert unknown.value.data["confirmed"] == 1
    assert await private_chain.gas_of(payment.payee) == 0

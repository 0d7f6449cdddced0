"""Endpoints are set aside for what a quorum of others shows, with the reason, and taken back after a while."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fakes.endpoint import answering, honest, proxy
from fakes.patience import until
from fakes.payments import Payment, chain_of
from private_chain import PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.health import Change, Probation, common_height, hash_faults, height_faults
from tocsin.connect.neo.network import Endpoint, HealthLimits, NetworkConfig
from tocsin.connect.neo.nodes import Answer, EndpointStatus
from tocsin.connect.ports import Argument, Invocation, ParameterType
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash

LIMITS = HealthLimits(lag_blocks=5, return_s=30.0)
QUICK = HealthLimits(lag_blocks=5, return_s=0.3)


def answers[T](values: dict[str, T]) -> list[Answer[T]]:
    """What endpoints said, each of a provider of its own, or of the one before a slash."""
    return [
        Answer(Endpoint(name, name.split("/", maxsplit=1)[0], "http://127.0.0.1:9"), value)
        for name, value in values.items()
    ]


def test_an_endpoint_behind_a_quorum_lags() -> None:
    heights = answers({"a": 100, "b": 101, "late": 90})
    assert height_faults(heights, 2, LIMITS) == {"late": "lags: at block 90, 10 behind the others"}


def test_a_few_blocks_behind_is_no_lag() -> None:
    assert height_faults(answers({"a": 100, "b": 101, "late": 95}), 2, LIMITS) == {}


def test_an_endpoint_ahead_of_a_quorum_of_others_is_set_aside() -> None:
    heights = answers({"a": 100, "b": 101, "liar": 10_000})
    assert height_faults(heights, 2, LIMITS) == {"liar": "claims block 10000, 9899 ahead of all others"}


def test_of_two_that_differ_neither_is_blamed() -> None:
    assert height_faults(answers({"a": 100, "b": 10_000}), 2, LIMITS) == {}
    assert hash_faults(answers({"a": "0x1", "b": "0x2"}), 100, 2) == {}


def test_endpoints_of_one_provider_blame_nobody() -> None:
    heights = answers({"alder/1": 100, "alder/2": 100, "b": 10_000})
    assert height_faults(heights, 2, LIMITS) == {}
    assert hash_faults(answers({"alder/1": "0x1", "alder/2": "0x1", "b": "0x2"}), 100, 2) == {}


def test_the_block_that_is_compared_is_one_that_all_have_who_do_not_lag() -> None:
    assert common_height(answers({"a": 100, "b": 98, "late": 3, "liar": 10_000}), 2, LIMITS) == 98
    assert common_height(answers({"a": 100}), 2, LIMITS) is None


def test_an_endpoint_with_another_block_contradicts_the_majority() -> None:
    faults = hash_faults(answers({"a": "0x1", "b": "0x1", "liar": "0x2"}), 98, 2)
    assert faults == {"liar": "contradicts the majority: its block 98 is 0x2, theirs 0x1"}


def test_an_endpoint_is_taken_back_after_agreeing_without_a_break() -> None:
    probation = Probation(LIMITS)
    assert probation.judge(["a"], {"a": "lags"}, 0.0) == [Change("a", "lags")]
    assert probation.judge(["a"], {}, 1.0) == []
    assert probation.judge(["a"], {}, 30.0) == []
    assert probation.judge([], {}, 30.5) == []  # it does not answer, which starts the time again
    assert probation.judge(["a"], {}, 31.0) == []
    assert probation.judge(["a"], {}, 60.9) == []
    assert probation.judge(["a"], {}, 61.0) == [Change("a", None)]
    assert probation.judge(["a"], {}, 100.0) == []


def test_an_endpoint_that_fails_again_starts_again() -> None:
    probation = Probation(LIMITS)
    probation.judge(["a"], {"a": "lags"}, 0.0)
    probation.judge(["a"], {}, 1.0)
    assert probation.judge(["a"], {"a": "lags"}, 30.9) == [Change("a", "lags")]
    assert probation.judge(["a"], {}, 31.0) == []
    assert probation.judge(["a"], {}, 60.0) == []
    assert probation.judge(["a"], {}, 61.0) == [Change("a", None)]


def with_liar(private_chain: PrivateChain, url: str, health: HealthLimits = LIMITS) -> NetworkConfig:
    """The chain with the validator behind the liar."""
    _, *others = private_chain.endpoints()
    return replace(private_chain.config(endpoints=(Endpoint("liar", "willow", url), *others)), health=health)


async def status_of_liar(chain: NeoChain) -> EndpointStatus:
    return (await chain.survey())[0]


async def test_healthy_endpoints_have_nothing_against_them(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        statuses = await chain.survey()
    assert [(status.problem, status.set_aside) for status in statuses] == [(None, False)] * 3
    assert all(status.height is not None and status.latency_ms is not None for status in statuses)
    assert str(statuses[0]).startswith(f"{private_chain.validator.name} (alder): block ")


@pytest.mark.parametrize(
    ("method", "change", "reason"),
    [
        ("getblockcount", lambda count: max(1, count - 1_000_000), "lags: at block 0"),
        ("getblockcount", lambda count: count + 1_000, "ahead of all others"),
        ("getblockhash", lambda _: "0x" + "ab" * 32, "contradicts the majority"),
    ],
    ids=["behind", "ahead", "hash"],
)
async def test_a_liar_about_the_chain_is_set_aside_and_named_everywhere(
    private_chain: PrivateChain, method: str, change: Callable[[Any], Any], reason: str
) -> None:
    url = private_chain.validator.http_url
    async with private_chain.client() as client:
        await client.wait_height(20, 20.0)
    async with proxy(url, answering(method, change)) as liar, chain_of(with_liar(private_chain, liar.url)) as chain:
        await chain.survey()
        asked = len(liar.seen)
        symbol = Invocation(Payment.of(private_chain).calls[0].contract, "symbol")
        reading = await chain.reader.quorum_invoke([symbol], at_least=1)
        assert len(liar.seen) == asked
        status = await status_of_liar(chain)
    assert reason in (status.problem or "")
    assert status.set_aside
    assert reading.quorum.confirmed == 2
    assert [text for text in reading.dissent if text.startswith("liar: set aside: ")]


async def test_an_endpoint_that_mends_is_taken_back(private_chain: PrivateChain) -> None:
    lie = answering("getblockhash", lambda _: "0x" + "ab" * 32)
    async with (
        proxy(private_chain.validator.http_url, lie) as liar,
        chain_of(with_liar(private_chain, liar.url, QUICK)) as chain,
    ):
        watching = asyncio.create_task(chain.watch())
        await until(lambda: "getblockhash" in liar.seen)
        assert (await status_of_liar(chain)).set_aside
        liar.lie = honest
        await until(lambda: _taken_back(chain))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _taken_back(chain: NeoChain) -> bool:
    status = await status_of_liar(chain)
    return not status.set_aside and status.problem is None


async def test_transactions_are_offered_to_endpoints_that_are_set_aside(private_chain: PrivateChain) -> None:
    payment = Payment.of(private_chain)
    lie = answering("getblockhash", lambda _: "0x" + "ab" * 32)
    async with (
        proxy(private_chain.validator.http_url, lie) as liar,
        chain_of(with_liar(private_chain, liar.url)) as chain,
    ):
        await chain.survey()
        await chain.sender.wait(await chain.sender.submit("run-1", payment.calls, purpose="refill"))
    assert "sendrawtransaction" in liar.seen
    assert await private_chain.gas_of(payment.payee) == payment.amount


async def test_a_liar_about_a_balance_decides_nothing_and_is_named(private_chain: PrivateChain) -> None:
    times = replace(private_chain.config().times, grace_s=2.0)  # so that the liar is heard out on a busy machine too
    account = ScriptHash(private_chain.accounts.refill.hash)
    contract = Payment.of(private_chain).calls[0].contract
    balance = Invocation(contract, "balanceOf", (Argument(ParameterType.HASH160, account),))
    rich = answering("invokescript", lambda result: result | {"stack": [{"type": "Integer", "value": "1"}]})
    async with (
        proxy(private_chain.validator.http_url, rich) as liar,
        chain_of(replace(with_liar(private_chain, liar.url), times=times)) as chain,
    ):
        reading = await chain.reader.quorum_invoke([balance], at_least=await chain.reader.height())
    assert reading.execution.stack != (1,)
    assert [text for text in reading.dissent if text.startswith("liar: at block ")]


async def test_without_a_quorum_nobody_is_set_aside_and_nothing_is_decided(private_chain: PrivateChain) -> None:
    validator, follower, other = private_chain.endpoints()
    endpoints = (validator, replace(follower, url="http://127.0.0.1:9"), replace(other, url="http://127.0.0.1:9"))
    config = private_chain.config(endpoints=endpoints)
    config = replace(config, times=replace(config.times, quorum_s=0.3))
    symbol = Invocation(Payment.of(private_chain).calls[0].contract, "symbol")
    async with chain_of(config) as chain:
        statuses = await chain.survey()
        with pytest.raises(Unavailable):
            await chain.reader.quorum_invoke([symbol], at_least=1)
    assert [status.set_aside for status in statuses] == [False] * 3
    assert [status.problem is None for status in statuses] == [True, False, False]

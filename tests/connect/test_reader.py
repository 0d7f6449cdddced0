"""Reading the chain: a quorum is a quorum, whatever single endpoints do."""

from dataclasses import replace

import pytest

from fakes.endpoint import answering, proxy
from fakes.outbox import MemoryOutbox
from private_chain import FUNDS, GAS, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.ports import Argument, Invocation, ParameterType, Signer
from tocsin.domain.errors import ConfigurationInvalid, Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

SYMBOL = Invocation(GAS, "symbol")
DECIMALS = Invocation(GAS, "decimals")


def balance_of(account: ScriptHash) -> Invocation:
    return Invocation(GAS, "balanceOf", (Argument(ParameterType.HASH160, account),))


def chain_of(config: NetworkConfig) -> NeoChain:
    return NeoChain(config, MemoryOutbox())


async def test_the_stack_holds_one_value_a_call_in_order(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        refill = ScriptHash(private_chain.accounts.refill.hash)
        execution = await chain.reader.test_invoke([SYMBOL, DECIMALS, balance_of(refill)])
    symbol, decimals, balance = execution.stack
    assert (execution.halted, symbol, decimals) == (True, b"GAS", 8)
    assert isinstance(balance, int)
    assert 0 < balance <= FUNDS


async def test_a_fault_is_an_execution_and_no_error(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        execution = await chain.reader.test_invoke([Invocation(GAS, "pauseAll")])
    assert not execution.halted
    assert "pauseAll" in (execution.exception or "")


async def test_a_test_invocation_carries_the_witness_that_its_signer_names(private_chain: PrivateChain) -> None:
    refill = ScriptHash(private_chain.accounts.refill.hash)
    addressee = ScriptHash("0x" + "11" * 20)
    transfer = Invocation(
        GAS,
        "transfer",
        (
            Argument(ParameterType.HASH160, refill),
            Argument(ParameterType.HASH160, addressee),
            Argument(ParameterType.INTEGER, 5),
            Argument(ParameterType.ANY, None),
        ),
    )
    async with chain_of(private_chain.config()) as chain:
        with_witness = await chain.reader.test_invoke([transfer], [Signer(refill, contracts=(GAS,))])
        elsewhere = await chain.reader.test_invoke([transfer], [Signer(refill, contracts=(addressee,))])
    assert with_witness.stack == (True,)
    assert [each.name for each in with_witness.notifications] == ["Transfer"]
    assert elsewhere.stack == (False,)


async def test_a_manifest_says_what_methods_there_are(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        manifest = await chain.reader.manifest(GAS)
    transfer = next(method for method in manifest.methods if method.name == "transfer")
    assert (manifest.contract, manifest.name, transfer.returns) == (GAS, "GasToken", ParameterType.BOOLEAN)
    assert [kind for _, kind in transfer.parameters][:3] == [
        ParameterType.HASH160,
        ParameterType.HASH160,
        ParameterType.INTEGER,
    ]


async def test_an_unknown_contract_is_refused(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        with pytest.raises(Refused) as refused:
            await chain.reader.manifest(ScriptHash("0x" + "ab" * 20))
    assert refused.value.code == "contract-unknown"


async def test_all_providers_confirm_a_reading(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        height = await chain.reader.height()
        reading = await chain.reader.quorum_invoke([SYMBOL], at_least=height)
    assert reading.execution.stack == (b"GAS",)
    assert reading.height >= height
    assert (reading.quorum.needed, reading.quorum.of) == (2, 3)
    assert reading.quorum.confirmed == 3
    assert reading.dissent == ()


async def test_a_reading_waits_for_blocks_that_are_still_to_come(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        height = await chain.reader.height()
        reading = await chain.reader.quorum_invoke([SYMBOL], at_least=height + 3)
    assert reading.height >= height + 3


async def test_two_of_three_are_a_quorum_while_one_is_stopped(private_chain: PrivateChain) -> None:
    follower = private_chain.followers[1]
    async with private_chain.stopped(follower), chain_of(private_chain.config()) as chain:
        reading = await chain.reader.quorum_invoke([SYMBOL], at_least=1)
    assert reading.quorum.confirmed == 2
    assert [text.split(":")[0] for text in reading.dissent] == [follower.name]


async def test_a_frozen_endpoint_costs_a_grace_and_no_time_out(private_chain: PrivateChain) -> None:
    config = private_chain.config()
    patient = replace(config, times=replace(config.times, request_s=30.0))
    with private_chain.frozen(private_chain.followers[0]):
        async with chain_of(patient) as chain:
            reading = await chain.reader.quorum_invoke([SYMBOL], at_least=1)
    assert reading.quorum.confirmed == 2
    assert reading.dissent == (f"{private_chain.followers[0].name}: no answer in time",)


async def test_the_quorum_is_not_lowered_when_endpoints_vanish(private_chain: PrivateChain) -> None:
    config = private_chain.config()
    impatient = replace(config, times=replace(config.times, quorum_s=0.5))
    async with private_chain.stopped(*private_chain.followers), chain_of(impatient) as chain:
        assert (await chain.reader.test_invoke([SYMBOL])).stack == (b"GAS",)
        with pytest.raises(Unavailable) as unavailable:
            await chain.reader.quorum_invoke([SYMBOL], at_least=1)
    assert unavailable.value.code == "no-quorum"
    for node in private_chain.nodes:
        assert node.name in unavailable.value.message


async def test_a_lying_endpoint_is_outvoted_and_named(private_chain: PrivateChain) -> None:
    paused = answering("invokescript", lambda result: result | {"stack": [{"type": "Boolean", "value": True}]})
    validator, *followers = private_chain.endpoints()
    async with proxy(validator.url, paused) as liar:
        endpoints = (Endpoint("liar", "willow", liar.url), *followers)
        config = private_chain.config(endpoints=endpoints)
        patient = replace(config, times=replace(config.times, grace_s=2.0))  # the liar is heard out
        async with chain_of(patient) as chain:
            reading = await chain.reader.quorum_invoke([SYMBOL], at_least=1)
    assert reading.execution.stack == (b"GAS",)
    assert reading.quorum.confirmed == 2
    assert len(reading.dissent) == 1
    assert reading.dissent[0].startswith("liar: at block")


async def test_a_liar_against_one_honest_endpoint_gives_no_reading(private_chain: PrivateChain) -> None:
    paused = answering("invokescript", lambda result: result | {"stack": [{"type": "Boolean", "value": True}]})
    validator, follower, _ = private_chain.endpoints()
    async with proxy(validator.url, paused) as liar:
        config = private_chain.config(endpoints=(Endpoint("liar", "willow", liar.url), follower))
        async with chain_of(replace(config, times=replace(config.times, quorum_s=0.5))) as chain:
            with pytest.raises(Unavailable):
                await chain.reader.quorum_invoke([SYMBOL], at_least=1)


async def test_endpoints_of_one_provider_count_once(private_chain: PrivateChain) -> None:
    validator, follower, other = private_chain.endpoints()
    endpoints = (validator, replace(follower, provider=validator.provider), replace(other, url="http://127.0.0.1:9"))
    config = private_chain.config(endpoints=endpoints)
    async with chain_of(replace(config, times=replace(config.times, quorum_s=0.5))) as chain:
        with pytest.raises(Unavailable):
            await chain.reader.quorum_invoke([SYMBOL], at_least=1)


def test_a_quorum_of_more_than_the_providers_is_no_configuration(private_chain: PrivateChain) -> None:
    same = tuple(replace(endpoint, provider="alder") for endpoint in private_chain.endpoints())
    with pytest.raises(ConfigurationInvalid, match="independent providers"):
        private_chain.config(endpoints=same)


async def test_an_endpoint_of_another_network_is_set_aside_with_the_reason(private_chain: PrivateChain) -> None:
    def moved(version: dict[str, dict[str, int]]) -> object:
        return version | {"protocol": version["protocol"] | {"network": 860833102}}

    validator, follower, other = private_chain.endpoints()
    async with proxy(validator.url, answering("getversion", moved)) as stranger:
        endpoints = (Endpoint("stranger", "willow", stranger.url), follower, other)
        async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
            reading = await chain.reader.quorum_invoke([SYMBOL], at_least=1)
            status = (await chain.survey())[0]
    assert reading.quorum.confirmed == 2
    assert reading.dissent == (f"stranger: set aside: it is of network 860833102, not {private_chain.magic}",)
    assert (status.height, status.problem) == (None, reading.dissent[0].removeprefix("stranger: "))
    assert set(stranger.seen) == {"getversion"}


async def test_the_block_time_is_read_from_the_chain(private_chain: PrivateChain) -> None:
    async with chain_of(private_chain.config()) as chain:
        assert await chain.block_ms() == 100


async def test_nothing_answers_when_every_endpoint_is_down(private_chain: PrivateChain) -> None:
    endpoints = tuple(replace(endpoint, url="http://127.0.0.1:9") for endpoint in private_chain.endpoints())
    async with chain_of(private_chain.config(endpoints=endpoints)) as chain:
        with pytest.raises(Unavailable, match="no connection"):
            await chain.reader.height()
        assert all(status.height is None for status in await chain.survey())

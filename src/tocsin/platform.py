"""Wires the platform: the chain of the configuration, and the actions bound to its contracts. Part of what `app` does.

It stands by itself because break glass needs it and must not need more: nothing here imports the store, the workflows
or the rules, and the chain's client is imported only when it is opened.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.actions.contract import Caller
from tocsin.actions.pause import CallTemplate, ContractPause, EffectProbe, PauseBinding
from tocsin.connect.neo.network import Endpoint, FeeLimits, KeySource, NetworkConfig, TimeLimits
from tocsin.connect.ports import ChainReader, ChainSender, Outbox, Signer
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock
from tocsin.domain.hashes import ScriptHash, account_of, address_of, script_hash
from tocsin.settings import CallSettings, Settings, WalletSettings

if TYPE_CHECKING:
    from tocsin.connect.neo.chain import NeoChain

NATIVE_CONTRACTS: Mapping[str, ScriptHash] = {
    "gas": ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf"),
    "neo": ScriptHash("0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"),
}


@asynccontextmanager
async def open_platform(
    settings: Settings, outbox: Outbox, clock: Clock | None = None, *, times: TimeLimits | None = None
) -> AsyncGenerator["NeoChain"]:
    """Connects to the chain of the configuration. Nothing is asked of it yet."""
    from tocsin.connect.neo.chain import NeoChain

    async with NeoChain(network_config(settings, times), outbox, clock) as chain:
        yield chain


def network_config(settings: Settings, times: TimeLimits | None = None) -> NetworkConfig:
    """The network as `connect/neo` takes it."""
    network = settings.network
    return NetworkConfig(
        magic=network.magic,
        quorum=network.quorum,
        endpoints=tuple(Endpoint(e.name, e.provider, e.url, e.ws) for e in network.endpoints),
        keys=tuple(key_source(purpose, key) for purpose, key in settings.keys.items()),
        fees=replace(
            FeeLimits(),
            system_max=Gas.parse(network.system_fee_max),
            network_max=Gas.parse(network.network_fee_max),
        ),
        times=times or TimeLimits(),
    )


def pause_action(settings: Settings, reader: ChainReader, sender: ChainSender) -> ContractPause:
    """`contract.pause` with the bindings and the probes of the configuration."""
    bindings = tuple(
        PauseBinding(p.name, call_template(settings, p.call), call_template(settings, p.paused), p.stops)
        for p in settings.pause
    )
    probes = tuple(
        EffectProbe(
            p.name,
            call_template(settings, p.call),
            Signer(
                account_of(p.account),
                "custom_contracts",
                tuple(contract_named(settings, name) for name in p.witness),
            ),
            p.reason,
            p.stopped_by,
        )
        for p in settings.probes
    )
    return ContractPause(Caller(reader, sender, "pause"), bindings, probes)


def contract_named(settings: Settings, name: str) -> ScriptHash:
    """The contract that the configuration calls so: a native one, one of [contracts], or a hash as it stands."""
    if name in NATIVE_CONTRACTS:
        return NATIVE_CONTRACTS[name]
    if name in settings.contracts:
        return script_hash(settings.contracts[name].hash)
    return script_hash(name)


def call_template(settings: Settings, call: CallSettings) -> CallTemplate:
    """A call of the configuration as actions take it."""
    return CallTemplate(contract_named(settings, call.contract), call.method, call.args)


def key_source(purpose: str, wallet: WalletSettings) -> KeySource:
    """Where the key for a purpose lies, as `connect/neo` takes it."""
    return KeySource(
        purpose,
        wallet.wallet,
        password_file=wallet.password_file,
        password_env=wallet.password_env,
        address=address_of(account_of(wallet.address)) if wallet.address else None,
    )

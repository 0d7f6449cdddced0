"""Wires the platform: the chain of the configuration, and the actions bound to its contracts. Part of what `app` does.

It stands by itself because break glass needs it and must not need more: nothing here imports the store, the workflows
or the rules, and the chain's client is imported only when it is opened.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.actions.contract import Caller
from tocsin.actions.pause import CallTemplate, ContractPause, EffectProbe, PauseBinding
from tocsin.connect.neo.network import Endpoint, FeeLimits, KeySource, NetworkConfig, TimeLimits
from tocsin.connect.neo.wallets import KeyRing
from tocsin.connect.ports import ChainReader, ChainSender, Outbox, PauseOutbox, Signer
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock, SystemClock
from tocsin.domain.hashes import ScriptHash, account_of, address_of, script_hash
from tocsin.respond.breakglass import PURPOSE, BreakGlass
from tocsin.respond.pause_ways import PauseWays
from tocsin.settings import CallSettings, PauseSettings, Settings, WalletSettings

if TYPE_CHECKING:
    from tocsin.connect.neo.chain import NeoChain

NATIVE_CONTRACTS: Mapping[str, ScriptHash] = {
    "gas": ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf"),
    "neo": ScriptHash("0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5"),
}
BREAK_GLASS_TIMES = TimeLimits(
    request_s=1.5, grace_s=0.2, doubt_s=10.0, quorum_s=3.0, confirm_s=3.0, silence_s=6.0, outcome_s=60.0
)
"""Frozen nodes must cost little, and whoever waits in an emergency must soon hear what is known."""
_APP_ID = "{app_id}"


@asynccontextmanager
async def open_platform(
    settings: Settings,
    outbox: Outbox,
    clock: Clock | None = None,
    *,
    times: TimeLimits | None = None,
    keys: KeyRing | None = None,
) -> AsyncGenerator["NeoChain"]:
    """Connects to the chain of the configuration. Nothing is asked of it yet."""
    from tocsin.connect.neo.chain import NeoChain

    async with NeoChain(network_config(settings, times), outbox, clock, keys=keys) as chain:
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
    bindings = tuple(_pause_binding(settings, pause) for pause in settings.pause)
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
            p.app,
        )
        for p in settings.probes
    )
    return ContractPause(Caller(reader, sender, "pause"), bindings, probes)


def pause_ways(settings: Settings) -> PauseWays:
    """What `tocsin pause` may be asked for."""
    everything = [p for p in settings.pause if p.scope == "all"]
    one_app = [p for p in settings.pause if p.scope == "app"]
    unsaid = [p for p in settings.pause if p.scope is None]
    everything = everything or [p for p in unsaid if _APP_ID not in p.call.args]
    one_app = one_app or [p for p in unsaid if _APP_ID in p.call.args]
    return PauseWays(
        tuple(_pause_binding(settings, p) for p in everything),
        tuple(_pause_binding(settings, p) for p in one_app),
        tuple(dict.fromkeys(contract.app for contract in settings.contracts.values() if contract.app is not None)),
    )


@asynccontextmanager
async def open_break_glass(
    settings: Settings, outbox: PauseOutbox, *, run: str, tell: Callable[[str], None], with_key: bool = True
) -> AsyncGenerator[BreakGlass]:
    """Break glass on the chain of the configuration. `with_key` opens the key's wallet while other things go on.

    `run` marks what this run puts into the outbox; `tell` takes sentences for people.
    """
    keys = KeyRing(network_config(settings).keys)
    # Before the chain's client is imported: decrypting takes a third of a second in a thread of its own.
    opening = asyncio.create_task(keys.key(PURPOSE)) if with_key else None
    await asyncio.sleep(0)
    try:
        async with open_platform(settings, outbox, times=BREAK_GLASS_TIMES, keys=keys) as chain:
            yield BreakGlass(
                pause_ways(settings),
                lambda sender: pause_action(settings, chain.reader, sender),
                chain.reader,
                chain.sender,
                chain.presigner,
                outbox,
                SystemClock(),
                run,
                tell,
            )
    finally:
        if opening is not None:
            # Whoever needed the key has heard of its error; where nobody did, there is nothing to tell.
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)


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


def _pause_binding(settings: Settings, pause: PauseSettings) -> PauseBinding:
    return PauseBinding(
        pause.name, call_template(settings, pause.call), call_template(settings, pause.paused), pause.stops
    )


def key_source(purpose: str, wallet: WalletSettings) -> KeySource:
    """Where the key for a purpose lies, as `connect/neo` takes it."""
    return KeySource(
        purpose,
        wallet.wallet,
        password_file=wallet.password_file,
        password_env=wallet.password_env,
        address=address_of(account_of(wallet.address)) if wallet.address else None,
    )

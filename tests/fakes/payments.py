"""GAS transfers that tell by their effect how often they were made, and chains over a configuration to make them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from fakes.endpoint import ProxyEndpoint
from fakes.outbox import MemoryOutbox
from private_chain import GAS, PrivateChain
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.ports import Argument, Invocation, Outbox, ParameterType
from tocsin.domain.clock import ManualClock
from tocsin.domain.hashes import ScriptHash


@dataclass(frozen=True)
class Payment:
    """A GAS transfer to an account that nobody else pays."""

    payer: ScriptHash
    payee: ScriptHash
    amount: int

    @classmethod
    def of(cls, chain: PrivateChain, amount: int = 7) -> "Payment":
        payee = ScriptHash(f"0x{secrets.token_hex(20)}")
        return cls(ScriptHash(chain.accounts.refill.hash), payee, amount)

    @property
    def calls(self) -> list[Invocation]:
        arguments = (
            Argument(ParameterType.HASH160, self.payer),
            Argument(ParameterType.HASH160, self.payee),
            Argument(ParameterType.INTEGER, self.amount),
            Argument(ParameterType.ANY, None),
        )
        return [Invocation(GAS, "transfer", arguments)]


def chain_of(config: NetworkConfig, outbox: Outbox | None = None) -> NeoChain:
    return NeoChain(config, outbox or MemoryOutbox(), ManualClock(datetime(2025, 3, 1, 3, tzinfo=UTC)))


def through(*proxies: ProxyEndpoint) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"proxy-{n}", f"provider-{n}", each.url) for n, each in enumerate(proxies, 1))

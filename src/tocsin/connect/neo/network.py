"""What a configuration says about a Neo N3 network: endpoints and who runs them, the quorum, keys, limits.

Values only, checked when they are made. Reading them from a file is the application's; using them is the business
of the modules beside this one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid

SYSTEM_FEE_MAX = Gas(5 * 10**8)
NETWORK_FEE_MAX = Gas(10**8)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An RPC node. `provider` says who runs it: a quorum counts a provider once. `ws`: its WebSocket, if any."""

    name: str
    provider: str
    url: str
    ws: str | None = None


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the key for one purpose lies: a NEP-6 wallet, and its password in a file or an environment variable.

    `address` (`N…`) picks an account of the wallet; without it the default account, or the only one, is taken.
    `shares_with` names other purposes that may have the same account, which is refused otherwise: a key that does
    several things is stolen for all of them.
    """

    purpose: str
    wallet: Path
    password_file: Path | None = None
    password_env: str | None = None
    address: str | None = None
    shares_with: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.password_file is None) == (self.password_env is None):
            raise ConfigurationInvalid(
                "key-password-ambiguous",
                f"the key for {self.purpose!r} needs its password in either a file or an environment variable",
            )

    def may_share_with(self, other: "KeySource") -> bool:
        """Whether it is said of either purpose that it shares its account with the other one."""
        return other.purpose in self.shares_with or self.purpose in other.shares_with


@dataclass(frozen=True, slots=True)
class FeeLimits:
    """The most that one transaction may pay, and what is added to the system fee that its rehearsal measured.

    The margin is there because the state may change between rehearsal and block; unused system fee is not given back.
    """

    system_max: Gas = SYSTEM_FEE_MAX
    network_max: Gas = NETWORK_FEE_MAX
    system_margin_percent: int = 10


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Bounds of every wait, in seconds."""

    request_s: float = 5.0
    """One request to one endpoint, connecting included."""
    grace_s: float = 0.25
    """How long the other endpoints are waited for once there is enough to go on with."""
    doubt_s: float = 2.0
    """How long an endpoint that missed a grace, or failed, is still asked but not waited for."""
    quorum_s: float = 15.0
    """How long a quorum reading waits for laggards to reach the height, and for answers to agree."""
    confirm_s: float = 15.0
    """How long a transaction that one provider has in a block waits for the quorum."""
    silence_s: float = 20.0
    """How long sending and waiting go on when no endpoint answers at all."""
    outcome_s: float = 600.0
    """The whole wait for a transaction, whatever happens."""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When an endpoint is set aside by the watch, and when it is taken back."""

    lag_blocks: int = 5
    """How far behind (or ahead of) what a quorum of providers has an endpoint may be."""
    return_s: float = 30.0
    """How long it must have agreed with the others again, in seconds."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A network as Tocsin is told of it.

    `magic` is the network number. `quorum` counts providers, not endpoints. `valid_until_blocks` is how many blocks a
    transaction stays valid; None takes about two minutes' worth at the block time that the chain has.
    """

    magic: int
    quorum: int
    endpoints: tuple[Endpoint, ...]
    keys: tuple[KeySource, ...] = ()
    fees: FeeLimits = field(default_factory=FeeLimits)
    times: TimeLimits = field(default_factory=TimeLimits)
    health: HealthLimits = field(default_factory=HealthLimits)
    valid_until_blocks: int | None = None
    body_bytes_max: int = 32 * 1024 * 1024

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ConfigurationInvalid("no-endpoints", "the network has no endpoint")
        _refuse_duplicates("endpoint-named-twice", "endpoint", [endpoint.name for endpoint in self.endpoints])
        _refuse_duplicates("key-configured-twice", "key for purpose", [key.purpose for key in self.keys])
        if not 1 <= self.quorum <= len(self.providers):
            raise ConfigurationInvalid(
                "quorum-impossible",
                f"a quorum of {self.quorum} can't be reached with {len(self.providers)} independent providers "
                f"({', '.join(self.providers)})",
                next_step="endpoints of one provider count once: add one of another provider, or lower the quorum",
            )
        if self.valid_until_blocks is not None and self.valid_until_blocks < 1:
            raise ConfigurationInvalid("validity-impossible", "a transaction must be valid for at least one block")

    @property
    def providers(self) -> tuple[str, ...]:
        """The independent providers, in the order of the endpoints."""
        return tuple(dict.fromkeys(endpoint.provider for endpoint in self.endpoints))


def _refuse_duplicates(code: str, what: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigurationInvalid(code, f"the {what} {name!r} is configured {count} times")

"""Arming: people consent in advance, by signature, to exactly one reflex: these rules, these pauses, these limits.

The consent is bound to a hash of the whole reflex, so a changed rule, pause or limit is not armed any more. It expires.
Disarming takes one person, no signature and no time: what is meant to be off must be off.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tocsin.domain.canonical import Json, digest

ARMED_FOR_DEFAULT = timedelta(days=30)
ARMED_FOR_MAX = timedelta(days=90)

type SigningKey = Callable[[str, bytes, str], str | None]
"""(principal, message, signature) → the principal's enrolled key if it made the signature, else None."""


@dataclass(frozen=True, slots=True)
class ReflexPlan:
    """What people consent to, in words and whole: the plan is shown before it is signed.

    `rules` are names with their conditions and windows, `pauses` contracts with the call that stops them, `known` the
    accounts that are never suspected, `endpoints` whom the reflex believes.
    """

    magic: int
    endpoints: tuple[str, ...]
    quorum: int
    rules: tuple[str, ...]
    pauses: tuple[str, ...]
    known: tuple[str, ...]
    network_fee_max: str
    scopes_per_hour: int
    approvals_needed: int

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form, which an arming signature covers."""
        return digest(self.as_json())

    def as_json(self) -> Mapping[str, Json]:
        return {
            "magic": self.magic,
            "endpoints": list(self.endpoints),
            "quorum": self.quorum,
            "known": list(self.known),
            "rules": list(self.rules),
            "pauses": list(self.pauses),
            "network_fee_max": self.network_fee_max,
            "scopes_per_hour": self.scopes_per_hour,
            "approvals_needed": self.approvals_needed,
        }


@dataclass(frozen=True, slots=True)
class ArmingRow:
    """One act of arming (with signature and expiry) or of disarming (neither)."""

    principal: str
    at: datetime
    plan_hash: str | None
    expires_at: datetime | None
    signature: str | None
    reason: str

    @property
    def disarms(self) -> bool:
        return self.plan_hash is None


class Armings(Protocol):
    """The acts of arming and disarming, in order; append only."""

    async def append(self, row: ArmingRow) -> None:
        """Adds an act; it is durable when this returns."""
        ...

    async def all(self) -> Sequence[ArmingRow]:
        """Every act, the oldest first. People make them, so there are few."""
        ...


@dataclass(frozen=True, slots=True)
class Armament:
    """Whether the reflex may fire. `until` is when the first of the consents that count expires; None without any."""

    plan: ReflexPlan
    armed_by: tuple[str, ...]
    until: datetime | None

    @property
    def armed(self) -> bool:
        return len(self.armed_by) >= self.plan.approvals_needed

    def __str__(self) -> str:
        if self.armed and self.until is not None:
            return f"armed by {', '.join(self.armed_by)} until {self.until:%Y-%m-%d %H:%M}Z"
        return f"not armed: {len(self.armed_by)} of {self.plan.approvals_needed} consents to the present reflex stand"


def arming_message(plan_hash: str, expires_at: datetime) -> bytes:
    """The bytes that a person signs to arm."""
    return f"tocsin arming\n{plan_hash}\n{expires_at.isoformat()}".encode()


def armament(plan: ReflexPlan, rows: Sequence[ArmingRow], signing_key: SigningKey, now: datetime) -> Armament:
    """What the acts amount to now for this plan. Forged, foreign and expired consents do not count.

    People are counted by their keys: one key under two names is one person.
    """
    counted: dict[str, tuple[str, datetime]] = {}
    for row in rows:
        if row.disarms:
            counted.clear()
        elif (
            row.plan_hash is not None
            and row.plan_hash == plan.hash
            and row.expires_at is not None
            and row.signature is not None
            and row.at <= now < row.expires_at <= row.at + ARMED_FOR_MAX
            and (key := signing_key(row.principal, arming_message(row.plan_hash, row.expires_at), row.signature))
        ):
            counted[key] = (row.principal, row.expires_at)
    people = tuple(sorted(principal for principal, _ in counted.values()))
    return Armament(plan, people, min((until for _, until in counted.values()), default=None))

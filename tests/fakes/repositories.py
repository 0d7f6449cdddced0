"""The small repositories in memory: leases, deadlines, runbooks, the follower's cursor, seen detections.

All give up control at every call, as a database would, and are held to the same suites as the database's.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from tocsin.domain.clock import Clock
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import BlockHash
from tocsin.incident.events import DeadlineKind
from tocsin.respond.ports import AcceptanceRow, DueDeadline, Lease
from tocsin.store.acceptance import Given, latest_round, newest_first, with_acceptance
from tocsin.store.moments import in_utc


class MemoryLeases:
    """`Leases` within one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._tokens: dict[str, int] = {}

    async def acquire(self, resource: str, holder: str, ttl: timedelta) -> Lease | None:
        await asyncio.sleep(0)
        now, held = in_utc(self._clock.now()), self._held(resource)
        if held is not None and held.holder != holder:
            return None
        self._tokens[resource] = held.token if held is not None else self._tokens.get(resource, 0) + 1
        self._leases[resource] = Lease(resource, holder, self._tokens[resource], now + ttl)
        return self._leases[resource]

    async def renew(self, resource: str, holder: str, ttl: timedelta) -> bool:
        await asyncio.sleep(0)
        held = self._held(resource)
        if held is None or held.holder != holder:
            return False
        self._leases[resource] = Lease(resource, holder, held.token, in_utc(self._clock.now()) + ttl)
        return True

    async def release(self, resource: str, holder: str) -> None:
        await asyncio.sleep(0)
        if resource in self._leases and self._leases[resource].holder == holder:
            del self._leases[resource]

    def _held(self, resource: str) -> Lease | None:
        lease = self._leases.get(resource)
        return lease if lease is not None and self._clock.now() < lease.expires_at else None


class MemoryDeadlines:
    """`DeadlineStore` that a restart loses."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, DeadlineKind, str], datetime] = {}

    async def set(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime) -> None:
        await asyncio.sleep(0)
        self._due[incident, kind, reference] = due_at

    async def clear(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime | None = None) -> None:
        await asyncio.sleep(0)
        if due_at is None or self._due.get((incident, kind, reference)) == due_at:
            self._due.pop((incident, kind, reference), None)

    async def due(self, now: datetime, limit: int) -> Sequence[DueDeadline]:
        await asyncio.sleep(0)
        rows = sorted((due_at, *names) for names, due_at in self._due.items() if due_at <= now)
        return [DueDeadline(incident, kind, reference, due_at) for due_at, incident, kind, reference in rows[:limit]]

    async def next_due(self) -> datetime | None:
        await asyncio.sleep(0)
        return min(self._due.values(), default=None)


class MemoryRunbooks:
    """`RunbookStore` without durability."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, str]] = {}
        self._given: list[Given] = []

    async def keep(self, hash_: str, text: str, file: str) -> None:
        await asyncio.sleep(0)
        self._texts.setdefault(hash_, (text, file))

    async def text(self, hash_: str) -> tuple[str, str] | None:
        await asyncio.sleep(0)
        return self._texts.get(hash_)

    async def accept(self, hash_: str, principal: str, signature: str, at: datetime, *, needed: int) -> None:
        await asyncio.sleep(0)
        if hash_ not in self._texts:
            raise Refused("runbook-missing", f"the store has no runbook {hash_[:12]}")
        given = with_acceptance(self._given, hash_, AcceptanceRow(principal, signature, at, needed))
        if given is not None:
            self._given.append(given)

    async def acceptances(self, hash_: str) -> Sequence[AcceptanceRow]:
        await asyncio.sleep(0)
        return latest_round(self._given, hash_)

    async def newest_first(self) -> Sequence[str]:
        await asyncio.sleep(0)
        return newest_first(self._given)


class MemoryCursor:
    """The follower's `Cursor` that a restart loses."""

    def __init__(self) -> None:
        self._heights: dict[str, int] = {}

    async def get(self, name: str) -> int | None:
        await asyncio.sleep(0)
        return self._heights.get(name)

    async def set(self, name: str, height: int, block_hash: BlockHash) -> None:
        await asyncio.sleep(0)
        self._heights[name] = max(height, self._heights.get(name, height))


class MemorySeenDetections:
    """`SeenDetections` that a restart loses."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def record(self, detection: str) -> bool:
        await asyncio.sleep(0)
        first = detection not in self._seen
        self._seen.add(detection)
        return first

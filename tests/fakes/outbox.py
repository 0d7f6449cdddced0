"""An outbox in memory, and one that dies at a chosen moment. Held to the same suite as the database's."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tocsin.connect.ports import Outbox, OutboxEntry, OutboxStatus
from tocsin.domain.errors import Refused


class MemoryOutbox:
    """`Outbox` without durability. Gives up control at every call, as a database would."""

    def __init__(self) -> None:
        self._entries: dict[str, OutboxEntry] = {}

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        await asyncio.sleep(0)
        return self._entries.setdefault(entry.key, entry)

    async def get(self, key: str) -> OutboxEntry | None:
        await asyncio.sleep(0)
        return self._entries.get(key)

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        await asyncio.sleep(0)
        entry = self._entries.get(key)
        if entry is None:
            raise Refused("outbox-key-unknown", f"nothing stands in the outbox under {key}")
        if entry.status is not OutboxStatus.STORED and (entry.status, entry.height) != (status, height):
            raise Refused("outbox-settled", f"{key} was settled as {entry.status} before")
        self._entries[key] = replace(entry, status=status, height=height)

    async def unsettled(self) -> Sequence[OutboxEntry]:
        await asyncio.sleep(0)
        standing = [entry for entry in self._entries.values() if entry.status is OutboxStatus.STORED]
        return sorted(standing, key=lambda entry: entry.created_at)


class Died(Exception):
    """The process would have ended here."""


class OutboxThatDies:
    """Passes everything on, and dies right after the first `put` has been stored."""

    def __init__(self, inner: Outbox) -> None:
        self._inner = inner

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        await self._inner.put(entry)
        raise Died

    async def get(self, key: str) -> OutboxEntry | None:
        return await self._inner.get(key)

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        await self._inner.settle(key, status, height)

    async def unsettled(self) -> Sequence[OutboxEntry]:
        return await self._inner.unsettled()

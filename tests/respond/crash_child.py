"""A service that kills itself at a chosen moment: `crash_child.py CONFIGURATION [before|after CALL]`.

A call is one of the event log (`append RunSent`, `append RoleAssigned/IC`) or of the outbox (`put`, `settle`), the
first one of its kind. Without a moment it runs until SIGTERM. Prints `ready`, and then each call when it is made.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.app import open_service
from tocsin.connect.ports import Outbox, OutboxEntry, OutboxStatus
from tocsin.domain.clock import SystemClock
from tocsin.incident.events import Event, Recorded, RoleAssigned
from tocsin.respond.ports import ChainVerdict, EventLog, IncidentSummary, NewEvent
from tocsin.settings import read_settings
from tocsin.store.store import open_store


@dataclass(frozen=True)
class Doom:
    """When to die: `moment` is "before" or "after" the call; an empty one never comes."""

    moment: str = ""
    call: str = ""

    def reached(self, moment: str, call: str) -> None:
        if moment == "before":
            print(call, flush=True)
        if (moment, call) == (self.moment, self.call):
            os.kill(os.getpid(), signal.SIGKILL)


class DoomedEventLog:
    """Passes everything on, and dies where it is told to."""

    def __init__(self, inner: EventLog, doom: Doom) -> None:
        self._inner, self._doom = inner, doom

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        call = f"append {' '.join(_name(new.event) for new in events)}"
        self._doom.reached("before", call)
        recorded = await self._inner.append(incident, events, expected_seq=expected_seq)
        self._doom.reached("after", call)
        return recorded

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        return await self._inner.read(incident, after, limit=limit)

    async def head_of_log(self) -> int:
        return await self._inner.head_of_log()

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        return await self._inner.changed_since(position)

    async def incidents(self) -> Sequence[IncidentSummary]:
        return await self._inner.incidents()

    async def verify(self, incident: str) -> ChainVerdict:
        return await self._inner.verify(incident)

    def export(self, incident: str) -> AsyncIterator[str]:
        return self._inner.export(incident)


class DoomedOutbox:
    """Passes everything on, and dies where it is told to."""

    def __init__(self, inner: Outbox, doom: Doom) -> None:
        self._inner, self._doom = inner, doom

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        self._doom.reached("before", "put")
        standing = await self._inner.put(entry)
        self._doom.reached("after", "put")
        return standing

    async def get(self, key: str) -> OutboxEntry | None:
        return await self._inner.get(key)

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        self._doom.reached("before", "settle")
        await self._inner.settle(key, status, height)
        self._doom.reached("after", "settle")

    async def unsettled(self) -> Sequence[OutboxEntry]:
        return await self._inner.unsettled()


def _name(event: Event) -> str:
    kind = type(event).__name__
    return f"{kind}/{event.role}" if isinstance(event, RoleAssigned) else kind


async def main(configuration: Path, doom: Doom) -> None:
    settings = read_settings(configuration)
    async with (
        open_store(settings.state, SystemClock()) as store,
        open_service(
            settings, event_log=DoomedEventLog(store.events, doom), outbox=DoomedOutbox(store.outbox, doom)
        ) as service,
    ):
        running = asyncio.create_task(service.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        print("ready", flush=True)
        try:
            await running
        except asyncio.CancelledError:
            print("ended", flush=True)


asyncio.run(main(Path(sys.argv[1]), Doom(*sys.argv[2:])))

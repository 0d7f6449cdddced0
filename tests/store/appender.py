"""A process that appends to a store and says what was acknowledged: `appender.py STORE INCIDENT NAME COUNT`.

Prints `ready` when the store is open, waits for a line on standard input, then prints each key once it is in the log.
Without an incident (`-`) it opens one about `exploit:app` instead, and prints its id.
"""

import asyncio
import sys
from pathlib import Path

from conformance.event_log import declaration, new
from tocsin.store.database import open_database
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.schema import sqlite_url


async def main(store: str, incident: str, name: str, count: int) -> None:
    async with await open_database(sqlite_url(Path(store))) as database:
        print("ready", flush=True)
        sys.stdin.readline()
        if incident == "-":
            opened, created = await StoredIncidentIndex(database).open_incident("exploit:app", declaration())
            print(opened, created, flush=True)
            return
        log = StoredEventLog(database)
        for number in range(count):
            key = f"{name}-{number}"
            await log.append(incident, [new(key)], expected_seq=None)
            print(key, flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))

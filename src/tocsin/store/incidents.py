"""The index of incidents in the database: which ids are given, and which incident is open for what."""

from tocsin.incident.events import Declared
from tocsin.respond.ports import IncidentSummary, NewEvent
from tocsin.store.database import Database
from tocsin.store.event_log import append_within, counter, insert_incident, open_incident_id, set_counter
from tocsin.store.moments import in_utc


def incident_id(year: int, number: int) -> str:
    """The id of the year's incident with this number: INC-2026-0001."""
    return f"INC-{year}-{number:04}"


class StoredIncidentIndex:
    """`IncidentIndex` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_incident(self, key: str, declared: NewEvent) -> tuple[str, bool]:
        event, at = declared.event, in_utc(declared.at)
        assert isinstance(event, Declared), "an incident opens with its declaration"
        assert event.key == key, "the declaration is about something else"
        async with self._database.writing() as connection:
            standing = await open_incident_id(connection, key)
            if standing is not None:
                return standing, False
            name = f"incident:{at.year}"
            number = await counter(connection, name) + 1
            await set_counter(connection, name, number)
            incident = incident_id(at.year, number)
            await insert_incident(connection, IncidentSummary.of(event, incident=incident, at=at))
            await append_within(connection, incident, [declared], expected_seq=0)
        return incident, True

    async def open_by_key(self, key: str) -> str | None:
        async with self._database.reading() as connection:
            return await open_incident_id(connection, key)

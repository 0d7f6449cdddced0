"""What is new on the timelines: for whoever shows incidents while they happen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tocsin.incident.events import Recorded
from tocsin.incident.timeline import TimelineEntry, timeline
from tocsin.respond.incidents import Incidents


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry of an incident's timeline that was not told before, with the event behind it."""

    incident: str
    recorded: Recorded
    entry: TimelineEntry


@dataclass
class News:
    """Remembers what was told. Begins with nothing told, or with all that stands (`catch_up`)."""

    incidents: Incidents
    _position: int = 0
    _told: dict[str, int] = field(default_factory=dict[str, int])

    async def catch_up(self) -> None:
        """Counts everything that stands now as told."""
        await self.latest()

    async def latest(self) -> Sequence[NewEntry]:
        """The entries since the last call, incident by incident, in order."""
        self._position, changed = await self.incidents.log.changed_since(self._position)
        found: list[NewEntry] = []
        for incident in sorted(changed):
            history = await self.incidents.history(incident)
            _, emergency = await self.incidents.emergency_of(await self.incidents.state(incident))
            told = self._told.get(incident, 0)
            entries = zip(history, timeline(history, emergency), strict=True)
            found += [NewEntry(incident, recorded, entry) for recorded, entry in entries if recorded.seq > told]
            self._told[incident] = history[-1].seq
        return found

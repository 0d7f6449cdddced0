"""What every event log and every index of incidents must do.

A test module subclasses the suites and says with the fixtures `log` and `index` which implementation it is; both speak
of the same incidents.
"""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tocsin.domain.actions import Autonomy
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    Declared,
    DetectionJoined,
    Event,
    NoteAdded,
    Reopened,
    Resolved,
    SeverityChanged,
)
from tocsin.respond.ports import EventLog, IncidentIndex, LogMoved, NewEvent
from tocsin.runbook.model import Severity
from tocsin.store.chain import read_export, verify_chain

START = datetime(2025, 3, 1, 3, 0, tzinfo=UTC)


def new(key: str, event: Event | None = None, *, at: datetime = START) -> NewEvent:
    """An event to append; a note that says its key unless another is given."""
    return NewEvent(at=at, principal="ana", key=key, event=event or NoteAdded(key))


def declaration(key: str = "exploit:app", *, at: datetime = START) -> NewEvent:
    """The declaration of an incident about `key`."""
    event = Declared(
        emergency="smart-contract-exploit",
        title="Smart Contract Exploit",
        severity=Severity.P0,
        key=key,
        reason="GAS leaves the app",
        runbook_hash="ab" * 32,
        mode=Autonomy.ASK,
    )
    return NewEvent(at=at, principal="tocsin", key="declared", event=event)


async def opened(index: IncidentIndex, key: str = "exploit:app") -> str:
    """The id of a new incident about `key`."""
    incident, created = await index.open_incident(key, declaration(key))
    assert created
    return incident


class EventLogConformance:
    """The suite of the log. A subclass has fixtures `log` and `index` over one empty store."""

    @pytest.fixture
    def log(self) -> EventLog:
        raise NotImplementedError

    @pytest.fixture
    def index(self) -> IncidentIndex:
        raise NotImplementedError

    async def test_what_was_appended_is_read_in_order_and_numbered_from_one(
        self, log: EventLog, index: IncidentIndex
    ) -> None:
        incident = await opened(index)
        appended = await log.append(incident, [new("a"), new("b")], expected_seq=1)
        history = await log.read(incident, limit=10)
        assert [(r.seq, r.key) for r in history] == [(1, "declared"), (2, "a"), (3, "b")]
        assert list(appended) == list(history[1:])
        assert (history[0].event, history[0].principal, history[0].at) == (declaration().event, "tocsin", START)

    async def test_reading_goes_on_after_a_number_and_is_limited(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new(str(n)) for n in range(5)], expected_seq=None)
        assert [r.seq for r in await log.read(incident, 2, limit=2)] == [3, 4]

    async def test_an_unknown_incident_has_no_events_and_takes_none(self, log: EventLog, index: IncidentIndex) -> None:
        assert list(await log.read("INC-2025-0404", limit=10)) == []
        for refused in (
            log.append("INC-2025-0404", [new("a")], expected_seq=None),
            log.verify("INC-2025-0404"),
            anext(log.export("INC-2025-0404")),
        ):
            with pytest.raises(Refused):
                await refused

    async def test_moments_keep_their_microseconds_whatever_their_time_zone(
        self, log: EventLog, index: IncidentIndex
    ) -> None:
        incident = await opened(index)
        at = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
        (recorded,) = await log.append(incident, [new("a", at=at)], expected_seq=None)
        assert recorded.at == at
        assert recorded.at.utcoffset() == timedelta()

    async def test_evidence_comes_back_as_json_has_it(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        evidence = {"txs": ["0x1", "0x2"], "lost": "12.5", "note": "Ω “quoted” \n"}
        detection = Detection("d1", "outflow", "exploit", "drain", "k", "GAS leaves", START, 7, evidence)
        (recorded,) = await log.append(incident, [new("d", DetectionJoined(detection))], expected_seq=None)
        assert recorded.event == DetectionJoined(detection)
        assert list(await log.read(incident, 1, limit=1)) == [recorded]

    async def test_a_key_that_stands_is_not_appended_again(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        first = await log.append(incident, [new("a")], expected_seq=None)
        again = await log.append(incident, [new("a", NoteAdded("another text"))], expected_seq=None)
        assert list(again) == list(first)
        assert len(await log.read(incident, limit=10)) == 2

    async def test_a_standing_key_comes_back_whatever_was_expected(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        first = await log.append(incident, [new("a")], expected_seq=1)
        assert list(await log.append(incident, [new("a")], expected_seq=1)) == list(first)

    async def test_a_batch_appends_only_what_is_new_in_it(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new("b")], expected_seq=None)
        batch = [new("a"), new("b"), new("c"), new("a", NoteAdded("second"))]
        recorded = await log.append(incident, batch, expected_seq=2)
        assert [(r.seq, r.key) for r in recorded] == [(3, "a"), (2, "b"), (4, "c"), (3, "a")]
        assert recorded[0].event == NoteAdded("a")

    async def test_the_same_key_may_stand_in_two_incidents(self, log: EventLog, index: IncidentIndex) -> None:
        one, two = await opened(index, "one"), await opened(index, "two")
        for incident in (one, two):
            await log.append(incident, [new("a")], expected_seq=1)
        assert [r.incident for r in await log.read(two, limit=10)] == [two, two]

    async def test_a_log_that_moved_takes_nothing(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new("a")], expected_seq=1)
        with pytest.raises(LogMoved) as moved:
            await log.append(incident, [new("a"), new("b")], expected_seq=1)
        assert moved.value.data == {"incident": incident, "expected_seq": 1, "seq": 2}
        assert moved.value.kind == "refused"
        assert len(await log.read(incident, limit=10)) == 2

    async def test_of_writers_who_expect_the_same_only_one_appends(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        outcomes = await asyncio.gather(
            *(log.append(incident, [new(str(n))], expected_seq=1) for n in range(6)), return_exceptions=True
        )
        assert sum(isinstance(outcome, LogMoved) for outcome in outcomes) == 5
        assert len(await log.read(incident, limit=10)) == 2

    async def test_writers_who_expect_nothing_all_append_without_gaps(
        self, log: EventLog, index: IncidentIndex
    ) -> None:
        incident = await opened(index)
        await asyncio.gather(*(log.append(incident, [new(str(n))], expected_seq=None) for n in range(20)))
        history = await log.read(incident, limit=100)
        assert [r.seq for r in history] == list(range(1, 22))
        assert {r.key for r in history} == {"declared", *map(str, range(20))}

    async def test_appending_nothing_changes_nothing(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        assert list(await log.append(incident, [], expected_seq=7)) == []
        assert await log.head_of_log() == 1

    async def test_the_head_counts_the_events_of_all_incidents(self, log: EventLog, index: IncidentIndex) -> None:
        assert await log.head_of_log() == 0
        one, two = await opened(index, "one"), await opened(index, "two")
        await log.append(one, [new("a"), new("b")], expected_seq=None)
        await log.append(two, [new("a")], expected_seq=None)
        await log.append(two, [new("a")], expected_seq=None)
        assert await log.head_of_log() == 5

    async def test_changes_are_told_once(self, log: EventLog, index: IncidentIndex) -> None:
        assert await log.changed_since(0) == (0, frozenset())
        one, two = await opened(index, "one"), await opened(index, "two")
        position, changed = await log.changed_since(0)
        assert changed == {one, two}
        assert await log.changed_since(position) == (position, frozenset())
        await log.append(one, [new("a")], expected_seq=None)
        later, changed = await log.changed_since(position)
        assert changed == {one}
        assert later == await log.head_of_log()

    async def test_the_chain_holds_and_says_how_far(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new("a"), new("b")], expected_seq=None)
        verdict = await log.verify(incident)
        assert (verdict.holds, verdict.events, verdict.problem) == (True, 3, None)

    async def test_an_export_verifies_offline_to_the_same_head(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new(f"nö {n}") for n in range(700)], expected_seq=None)
        lines = [line async for line in log.export(incident)]
        assert len(lines) == 701
        assert not any("\n" in line for line in lines)
        assert verify_chain(incident, read_export(lines)) == await log.verify(incident)

    async def test_the_index_follows_the_log(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        (summary,) = await log.incidents()
        assert (summary.id, summary.key, summary.emergency) == (incident, "exploit:app", "smart-contract-exploit")
        assert (summary.title, summary.severity, summary.is_open) == ("Smart Contract Exploit", Severity.P0, True)
        assert (summary.declared_at, summary.closed_at, summary.last_seq) == (START, None, 1)
        closed_at = START + timedelta(hours=1)
        events = [
            new("lower", SeverityChanged(Severity.P2, "contained")),
            new("done", Resolved("all verified"), at=closed_at),
        ]
        await log.append(incident, events, expected_seq=1)
        (summary,) = await log.incidents()
        assert (summary.severity, summary.is_open, summary.last_seq) == (Severity.P2, False, 3)
        assert summary.closed_at == closed_at

    async def test_incidents_are_listed_the_newest_first(self, log: EventLog, index: IncidentIndex) -> None:
        for number, key in enumerate(("one", "two", "three")):
            await index.open_incident(key, declaration(key, at=START + timedelta(minutes=number)))
        assert [summary.key for summary in await log.incidents()] == ["three", "two", "one"]

    async def test_an_append_that_can_not_be_recorded_leaves_nothing(self, log: EventLog, index: IncidentIndex) -> None:
        closed = await opened(index)
        await log.append(closed, [new("done", Resolved("over"))], expected_seq=None)
        await opened(index)
        before = await log.head_of_log()
        with pytest.raises(Refused):
            await log.append(closed, [new("note"), new("again", Reopened("not over"))], expected_seq=None)
        assert await log.head_of_log() == before
        assert [r.key for r in await log.read(closed, limit=10)] == ["declared", "done"]
        assert (await log.verify(closed)).holds


class IncidentIndexConformance:
    """The suite of the index. A subclass has fixtures `log` and `index` over one empty store."""

    @pytest.fixture
    def log(self) -> EventLog:
        raise NotImplementedError

    @pytest.fixture
    def index(self) -> IncidentIndex:
        raise NotImplementedError

    async def test_ids_count_within_the_year(self, log: EventLog, index: IncidentIndex) -> None:
        moments = (START, START, datetime(2026, 1, 1, tzinfo=UTC), START)
        ids = [(await index.open_incident(str(n), declaration(str(n), at=at)))[0] for n, at in enumerate(moments)]
        assert ids == ["INC-2025-0001", "INC-2025-0002", "INC-2026-0001", "INC-2025-0003"]

    async def test_the_year_is_that_of_utc(self, log: EventLog, index: IncidentIndex) -> None:
        at = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=9)))
        assert await index.open_incident("k", declaration("k", at=at)) == ("INC-2025-0001", True)

    async def test_a_key_has_one_open_incident(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        again = declaration(at=START + timedelta(seconds=1))
        assert await index.open_incident("exploit:app", again) == (incident, False)
        assert [r.at for r in await log.read(incident, limit=10)] == [START]
        assert await index.open_by_key("exploit:app") == incident
        assert await index.open_by_key("exploit:other") is None

    async def test_declared_at_once_by_many_it_is_one_incident(self, log: EventLog, index: IncidentIndex) -> None:
        outcomes = await asyncio.gather(*(index.open_incident("exploit:app", declaration()) for _ in range(8)))
        assert {incident for incident, _ in outcomes} == {"INC-2025-0001"}
        assert sum(created for _, created in outcomes) == 1
        assert len(await log.incidents()) == 1

    @pytest.mark.parametrize("ending", [Resolved("over"), ClosedAsFalseAlarm("a test")])
    async def test_a_closed_incident_frees_its_key(self, log: EventLog, index: IncidentIndex, ending: Event) -> None:
        first = await opened(index)
        await log.append(first, [new("end", ending)], expected_seq=None)
        assert await index.open_by_key("exploit:app") is None
        assert await opened(index) != first

    async def test_a_reopened_incident_has_its_key_again(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new("end", Resolved("over"))], expected_seq=None)
        await log.append(incident, [new("again", Reopened("it goes on"))], expected_seq=None)
        assert await index.open_incident("exploit:app", declaration()) == (incident, False)
        (summary,) = await log.incidents()
        assert (summary.is_open, summary.closed_at) == (True, None)

    async def test_reopening_is_refused_while_another_is_open_for_the_key(
        self, log: EventLog, index: IncidentIndex
    ) -> None:
        first = await opened(index)
        await log.append(first, [new("end", Resolved("over"))], expected_seq=None)
        second = await opened(index)
        with pytest.raises(Refused) as refused:
            await log.append(first, [new("again", Reopened("it goes on"))], expected_seq=None)
        assert second in refused.value.message
        assert await index.open_by_key("exploit:app") == second

    async def test_other_events_leave_the_key_alone(self, log: EventLog, index: IncidentIndex) -> None:
        incident = await opened(index)
        await log.append(incident, [new("ack", Acknowledged())], expected_seq=None)
        assert await index.open_by_key("exploit:app") == incident

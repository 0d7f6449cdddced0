"""The hash chain: what it shows of a log that was tampered with, and its pinned form."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from conformance.event_log import START, declaration, new
from tocsin.domain.errors import Refused, Unavailable
from tocsin.respond.ports import ChainVerdict
from tocsin.store.chain import LogRow, chained, empty_chain, export_line, read_export, verify_chain

INCIDENT = "INC-2025-0001"


def log_of(*keys: str, incident: str = INCIDENT) -> list[LogRow]:
    """A log that begins with its declaration and goes on with notes."""
    rows = [chained(incident, 1, declaration(), empty_chain(incident).head)]
    for key in keys:
        rows.append(chained(incident, len(rows) + 1, new(key), rows[-1].hash))
    return rows


def rehashed(row: LogRow) -> LogRow:
    """What a forger would store: the row with a hash that fits it."""
    return replace(row, hash=row.computed_hash())


def test_an_untouched_log_holds() -> None:
    rows = log_of("a", "b")
    assert verify_chain(INCIDENT, rows) == ChainVerdict(INCIDENT, 3, rows[-1].hash)


def test_an_empty_log_holds_at_the_mark_of_its_incident() -> None:
    assert verify_chain(INCIDENT, []) == empty_chain(INCIDENT)
    assert empty_chain(INCIDENT).head != empty_chain("INC-2025-0002").head


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, principal="mallory"),
        lambda row: replace(row, at=row.at.replace("03:00", "03:01")),
        lambda row: replace(row, key="another"),
        lambda row: replace(row, kind="acknowledged"),
        lambda row: replace(row, data=row.data.replace("a", "e")),
    ],
)
def test_a_changed_event_is_found_where_it_stands(change: Callable[[LogRow], LogRow]) -> None:
    rows = log_of("a", "b")
    verdict = verify_chain(INCIDENT, [rows[0], change(rows[1]), rows[2]])
    assert (verdict.holds, verdict.events, verdict.head) == (False, 1, rows[0].hash)
    assert verdict.problem == "event 2 was changed after it was recorded"


def test_a_changed_event_with_a_fitting_hash_is_found_by_the_next_one() -> None:
    rows = log_of("a", "b")
    verdict = verify_chain(INCIDENT, [rows[0], rehashed(replace(rows[1], principal="mallory")), rows[2]])
    assert verdict.problem == "event 3 does not follow the one before it"


def test_a_removed_event_is_missed() -> None:
    rows = log_of("a", "b")
    assert verify_chain(INCIDENT, [rows[0], rows[2]]).problem == "event 2 is missing: event 3 stands in its place"


def test_renumbering_after_a_removal_does_not_hide_it() -> None:
    rows = log_of("a", "b")
    verdict = verify_chain(INCIDENT, [rows[0], rehashed(replace(rows[2], seq=2))])
    assert verdict.problem == "event 2 does not follow the one before it"


def test_the_log_of_another_incident_does_not_pass() -> None:
    rows = log_of("a", incident="INC-2025-0002")
    assert verify_chain(INCIDENT, rows).problem == "event 1 belongs to INC-2025-0002"
    renamed = [rehashed(replace(row, incident=INCIDENT)) for row in rows]
    assert verify_chain(INCIDENT, renamed).problem == "event 1 does not follow the one before it"


def test_the_form_that_is_hashed_never_changes() -> None:
    before = hashlib.sha256(b'["tocsin event log","INC-2025-0001"]').hexdigest()
    content = (
        '{"at":"2025-03-01T03:00:00.000000+00:00","data":"{\\"text\\":\\"Ω\\"}","incident":"INC-2025-0001",'
        f'"key":"Ω","kind":"note_added","prev_hash":"{before}","principal":"ana","seq":1}}'
    )
    row = chained(INCIDENT, 1, new("Ω", at=START), empty_chain(INCIDENT).head)
    assert row.hash == hashlib.sha256(content.encode()).hexdigest()


def test_an_export_survives_its_journey() -> None:
    rows = log_of("a", "Ω “quoted”\n\u2028next")
    lines = "\n".join(export_line(row) for row in rows) + "\n"
    assert list(read_export(lines.split("\n"))) == rows


@pytest.mark.parametrize("line", ["{", "[]", '{"seq": 1}', "null", '"text"'])
def test_what_is_no_export_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(Refused, match="line 2"):
        list(read_export([export_line(log_of()[0]), line]))


def test_an_export_with_an_unknown_field_is_refused() -> None:
    line = export_line(log_of()[0]).replace('"seq":1', '"seq":1,"extra":1')
    with pytest.raises(Refused, match="line 1"):
        list(read_export([line]))


def test_an_event_that_this_version_can_not_read_says_so() -> None:
    with pytest.raises(Unavailable, match="event 1 of INC-2025-0001"):
        replace(log_of()[0], kind="teleported").recorded()

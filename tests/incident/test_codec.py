"""Events survive the log: as JSON, through text, and back."""

import json
from typing import get_args

import pytest
from hypothesis import given, settings

from incident.strategies import any_event
from tocsin.domain.canonical import canonical_bytes
from tocsin.incident.codec import KINDS, event_from_json, event_to_json
from tocsin.incident.events import Acknowledged, Event, NoteAdded, PlanApproved, PlanProposed, RunRefused


@given(any_event)
@settings(max_examples=400, deadline=None)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    kind, data = event_to_json(event)
    back = event_from_json(kind, json.loads(canonical_bytes(data)))
    assert back == event
    assert type(back) is type(event)
    if isinstance(event, PlanProposed) and isinstance(back, PlanProposed):
        assert back.plan.hash == event.plan.hash
    if isinstance(event, PlanApproved) and isinstance(back, PlanApproved):
        # What was signed contains the expiry as text.
        assert back.approval.expires_at.isoformat() == event.approval.expires_at.isoformat()


def test_every_kind_of_event_has_a_name_in_the_log() -> None:
    assert set(KINDS.values()) == set(get_args(Event.__value__))


def test_an_event_in_the_log_is_plain_to_read() -> None:
    assert event_to_json(Acknowledged()) == ("acknowledged", {})
    assert event_to_json(NoteAdded("seen")) == ("note_added", {"text": "seen"})


def test_floating_point_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="floating-point"):
        event_to_json(RunRefused("INC-1/1.0.1", {"share": 0.5}))


@pytest.mark.parametrize(
    ("kind", "data", "because"),
    [
        ("merged", {}, "'merged' is no kind of event"),
        ("note_added", {}, "a note_added event can't be read: text: "),
        ("step_skipped", {"step": "1", "reason": ""}, "step: Input should be a valid integer"),
        ("severity_changed", {"severity": "P9", "reason": ""}, "severity: Input should be 'P0'"),
    ],
)
def test_what_is_no_event_is_refused_with_its_place(kind: str, data: dict[str, str], because: str) -> None:
    with pytest.raises(ValueError, match="event") as refused:
        event_from_json(kind, data)
    assert because in str(refused.value)

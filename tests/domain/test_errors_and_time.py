"""Errors say what to do next; time is one source; consent is signed for one purpose."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tocsin.domain.clock import ManualClock, SystemClock
from tocsin.domain.errors import (
    ConfigurationInvalid,
    Failed,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)
from tocsin.domain.principals import approval_message

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_an_error_tells_the_operators_next_step() -> None:
    assert str(Refused("no-key", "no key is configured")) == "no key is configured"
    assert str(Refused("no-key", "no key", next_step="add one")) == "no key. Next: add one"


def test_an_error_is_a_json_object_with_a_stable_code() -> None:
    error = Partial("some-restarted", "two of three restarted", next_step="restart the third", data={"left": ["c"]})
    assert json.loads(json.dumps(error.as_json())) == {
        "kind": "partial",
        "code": "some-restarted",
        "message": "two of three restarted",
        "next_step": "restart the third",
        "data": {"left": ["c"]},
    }


def test_every_class_of_errors_has_a_kind_of_its_own() -> None:
    classes = (ConfigurationInvalid, Unavailable, Refused, Failed, Partial, OutcomeUnknown, NeedsOperator)
    assert len({each.kind for each in classes} | {TocsinError.kind}) == len(classes) + 1


def test_a_manual_clock_moves_only_when_moved() -> None:
    clock = ManualClock(NOON.astimezone(timezone(timedelta(hours=5))))
    assert clock.now() == clock.now() == NOON
    assert clock.now().tzinfo is UTC
    clock.advance(timedelta(seconds=90))
    assert clock.now() == NOON + timedelta(seconds=90)


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(NOON.replace(tzinfo=None))


def test_the_systems_clock_is_aware() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_what_an_approver_signs_changes_with_the_plan_and_the_expiry() -> None:
    later = NOON + timedelta(minutes=5)
    messages = {approval_message(plan, at) for plan in ("aa", "bb") for at in (NOON, later)}
    assert len(messages) == 4
    assert all(message.startswith(b"tocsin approval\n") for message in messages)

"""Events as JSON and back, for the log. The kinds and the fields are the log's format: what was written stays readable.

Times are ISO 8601 with their offset; floating-point numbers are refused, since they have no canonical form. Free JSON
inside an event (inputs, evidence, errors) comes back as JSON has it: lists, not tuples.
"""

import json
from collections.abc import Mapping
from functools import cache

from pydantic import TypeAdapter, ValidationError

from tocsin.domain.canonical import Json, canonical_bytes
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    CommandDone,
    ConditionAnswered,
    DeadlineReached,
    Declared,
    DetectionJoined,
    Event,
    ItemTicked,
    NoteAdded,
    PlanApproved,
    PlanProposed,
    Reopened,
    Resolved,
    RoleAssigned,
    RunFinished,
    RunFired,
    RunManual,
    RunRefused,
    RunSent,
    SeverityChanged,
    StatusChanged,
    StepRequested,
    StepSkipped,
)

KINDS: Mapping[str, type[Event]] = {
    "declared": Declared,
    "detection_joined": DetectionJoined,
    "acknowledged": Acknowledged,
    "status_changed": StatusChanged,
    "severity_changed": SeverityChanged,
    "role_assigned": RoleAssigned,
    "step_requested": StepRequested,
    "step_skipped": StepSkipped,
    "condition_answered": ConditionAnswered,
    "item_ticked": ItemTicked,
    "command_done": CommandDone,
    "plan_proposed": PlanProposed,
    "run_refused": RunRefused,
    "run_manual": RunManual,
    "plan_approved": PlanApproved,
    "run_fired": RunFired,
    "run_sent": RunSent,
    "run_finished": RunFinished,
    "deadline_reached": DeadlineReached,
    "note_added": NoteAdded,
    "resolved": Resolved,
    "closed_as_false_alarm": ClosedAsFalseAlarm,
    "reopened": Reopened,
}
"""Written out, not derived from the class names: renaming a class must not make old logs unreadable."""

_KIND_OF = {event_type: kind for kind, event_type in KINDS.items()}


def event_to_json(event: Event) -> tuple[str, dict[str, Json]]:
    """The kind and the data of an event, fit for `canonical_bytes`.

    Raises:
        TypeError: the event holds a floating-point number or something that JSON can't hold.
    """
    kind = _KIND_OF[type(event)]
    data: dict[str, Json] = _adapter(kind).dump_python(event, mode="json")
    canonical_bytes(data)
    return kind, data


def event_from_json(kind: str, data: Mapping[str, Json]) -> Event:
    """The event that `event_to_json` wrote.

    Raises:
        ValueError: no such kind, or the data are not an event of this kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of event: the log was written by a newer version, or is damaged")
    try:
        return _adapter(kind).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "its data"
        raise ValueError(f"a {kind} event can't be read: {place}: {first['msg']}") from error


@cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    """Built when first needed: all of them together take a noticeable part of a command's start-up."""
    return TypeAdapter(KINDS[kind])

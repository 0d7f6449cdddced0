"""The incident as a whole: declaration, deadlines, acknowledgement, severity, roles, closing and opening again."""

from pathlib import Path

import pytest

from incident.story import EXPLOIT, INCIDENT, MIDNIGHT, PROMISES, Story, finished, minutes
from tocsin.domain.detections import Detection
from tocsin.domain.principals import TOCSIN
from tocsin.incident.commands import AssignRoles, ClearDeadline, Preflight, SetDeadline
from tocsin.incident.decide import outstanding, replay, start
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    DeadlineKind,
    DeadlineReached,
    DetectionJoined,
    Event,
    ItemTicked,
    NoteAdded,
    Recorded,
    Reopened,
    Resolved,
    RoleAssigned,
    SeverityChanged,
    Status,
    StatusChanged,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.state import DETECTIONS_KEPT_MAX, Breach, Promises, StepStatus
from tocsin.runbook.compile import compile_runbook
from tocsin.runbook.model import Severity

RUNBOOK = Path(__file__).parents[2] / "runbooks" / "EMERGENCY_RUNBOOK.md"
ACK, RESPOND, BUDGET = DeadlineKind.ACKNOWLEDGE, DeadlineKind.RESPOND, DeadlineKind.STEP_BUDGET


def detection(number: int) -> Detection:
    return Detection(f"d{number}", "outflow", "exploit", "Unusual fund movements", "key", "moved", MIDNIGHT, number, {})


def resolved_story() -> Story:
    story = Story()
    for number in (1, 2, 3):
        story.says("alice", StepSkipped(number, "drill"))
    story.says("alice", Resolved("fixed"))
    return story


def test_a_whole_exploit_from_declaration_to_review() -> None:
    story = Story()
    assert story.commands == (
        SetDeadline(ACK, INCIDENT, MIDNIGHT + minutes(5)),
        SetDeadline(RESPOND, INCIDENT, MIDNIGHT + minutes(15)),
        AssignRoles(("IC", "TL", "CL")),
        SetDeadline(BUDGET, "1", MIDNIGHT + minutes(5)),
        Preflight("INC-1/1.0.1", 1, 0, (0, 1)),
    )
    story.tocsin(RoleAssigned("IC", "alice"))
    story.passes(minutes(1))
    assert story.says("alice", Acknowledged()) == (ClearDeadline(ACK, INCIDENT),)
    story.proposes("INC-1/1.0.1")
    assert story.state.status is Status.MITIGATING
    assert story.tocsin(finished("INC-1/1.0.1")) == (
        ClearDeadline(BUDGET, "1"),
        SetDeadline(BUDGET, "2", MIDNIGHT + minutes(16)),
    )
    assert story.state.mitigated_at == MIDNIGHT + minutes(1)

    story.passes(minutes(9))
    assert story.says("alice", ItemTicked(2, 0, "one sender")) == (ClearDeadline(RESPOND, INCIDENT),)
    story.says("bob", ItemTicked(2, 1, ""))
    story.says("bob", ItemTicked(3, 0, "patched"))
    assert [step.status for step in story.state.steps] == [StepStatus.DONE] * 3
    assert story.state.status is Status.MONITORING

    story.says("alice", Resolved("patched and resumed"))
    assert story.state.resolved_at == story.now
    assert story.state.deadlines == ()
    story.says("alice", StatusChanged(Status.REVIEWED, "review held"))
    assert story.state.status is Status.REVIEWED
    assert story.replayed() == story.state


def test_a_log_begins_with_a_declaration() -> None:
    acknowledged = Recorded(INCIDENT, 1, MIDNIGHT, "alice", "k", Acknowledged())
    with pytest.raises(ValueError, match="begins with Declared, not Acknowledged"):
        start(EXPLOIT, PROMISES, acknowledged)
    with pytest.raises(ValueError, match="empty log"):
        replay(EXPLOIT, PROMISES, [])


def test_the_promises_come_from_the_runbooks_tables() -> None:
    runbook = compile_runbook(RUNBOOK.read_bytes(), str(RUNBOOK))
    promises = Promises.of(runbook)
    assert promises.within(ACK, Severity.P0) == minutes(5), "the channel table"
    assert promises.within(RESPOND, Severity.P0) == minutes(15), "the severity table"
    assert promises.roles == ("IC", "TL", "CL")


def test_a_missed_deadline_is_a_breach_once() -> None:
    story = Story()
    reached = DeadlineReached(ACK, INCIDENT, MIDNIGHT + minutes(5))
    assert story.refused(TOCSIN.id, reached) == "this deadline is not due yet"
    story.passes(minutes(5))
    assert story.tocsin(reached) == (ClearDeadline(ACK, INCIDENT),)
    assert story.state.breaches == (Breach(ACK, INCIDENT, MIDNIGHT + minutes(5), story.now),)
    assert story.record(TOCSIN.id, reached) == ()
    assert len(story.state.breaches) == 1
    assert story.says("alice", Acknowledged()) == ()


def test_the_alarm_of_a_deadline_that_was_moved_is_ignored() -> None:
    story = Story(severity=Severity.P1)
    story.says("alice", NoteAdded("looks worse"))
    story.tocsin(SeverityChanged(Severity.P0, "funds at risk"))
    story.passes(minutes(30))
    before = story.state
    assert story.record(TOCSIN.id, DeadlineReached(ACK, INCIDENT, MIDNIGHT + minutes(30))) == ()
    assert story.state == before


def test_raising_the_severity_to_p0_tightens_the_open_deadlines_and_activates_the_ics() -> None:
    story = Story(severity=Severity.P1)
    assert not any(isinstance(command, AssignRoles) for command in story.commands)
    story.says("dana", RoleAssigned("TL", "bob"))
    assert story.says("alice", SeverityChanged(Severity.P0, "funds at risk")) == (
        ClearDeadline(ACK, INCIDENT),
        SetDeadline(RESPOND, INCIDENT, MIDNIGHT + minutes(15)),
        AssignRoles(("IC", "CL")),
    )


def test_a_severity_without_promises_clears_the_deadlines() -> None:
    story = Story()
    assert story.tocsin(SeverityChanged(Severity.P3, "cosmetic")) == (
        ClearDeadline(ACK, INCIDENT),
        ClearDeadline(RESPOND, INCIDENT),
    )


def test_what_tocsin_does_by_itself_acknowledges_nothing() -> None:
    story = Story()
    story.proposes("INC-1/1.0.1")
    story.tocsin(finished("INC-1/1.0.1"))
    assert story.state.acknowledged_at is None
    assert story.state.deadline(ACK, INCIDENT) is not None
    assert story.state.deadline(RESPOND, INCIDENT) is not None


@pytest.mark.parametrize(
    "event",
    [StepRequested(2, "look early"), StepSkipped(1, "paused by the admin"), StatusChanged(Status.INVESTIGATING, "")],
)
def test_a_person_who_acts_has_acknowledged_and_responded(event: Event) -> None:
    story = Story()
    commands = story.says("alice", event)
    assert ClearDeadline(ACK, INCIDENT) in commands
    assert ClearDeadline(RESPOND, INCIDENT) in commands
    assert story.state.acknowledged_by == "alice"
    assert story.state.status is Status.INVESTIGATING


def test_a_note_or_a_role_is_no_acknowledgement() -> None:
    story = Story()
    assert story.says("bob", NoteAdded("I saw it too")) == ()
    assert story.says("bob", RoleAssigned("IC", "alice")) == ()
    assert story.state.acknowledged_at is None
    assert story.state.notes_count == 1


def test_detections_join_once_and_are_counted_beyond_what_is_kept() -> None:
    story = Story()
    for number in range(DETECTIONS_KEPT_MAX + 5):
        story.tocsin(DetectionJoined(detection(number)))
    assert story.refused(TOCSIN.id, DetectionJoined(detection(0))) == "detection d0 has joined already"
    assert len(story.state.detections) == DETECTIONS_KEPT_MAX
    assert story.state.detections_count == DETECTIONS_KEPT_MAX + 5


def test_resolving_names_the_steps_that_are_left() -> None:
    story = Story()
    story.says("alice", StepSkipped(1, "paused by the admin"))
    refused = story.refused("alice", Resolved("done"))
    assert refused == (
        "not every step is finished: step 2, Investigate is active; step 3, Recovery is pending. "
        'Finish each, or skip it with `tocsin step skip INC-1 2 --reason "…"`'
    )
    assert story.record("alice", Resolved("done")) == ()
    assert story.state.is_open


def test_a_false_alarm_needs_a_reason_and_ends_everything() -> None:
    story = Story()
    assert "say why it was a false alarm" in (story.refused("alice", ClosedAsFalseAlarm(" ")) or "")
    commands = story.says("alice", ClosedAsFalseAlarm("a planned payout"))
    assert {type(command) for command in commands} == {ClearDeadline}
    assert outstanding(story.state) == ()
    assert story.run("INC-1/1.0.1").status == "skipped"
    assert story.state.status is Status.FALSE_ALARM
    assert story.state.resolved_at is None


def test_a_closed_incident_takes_notes_and_nothing_else() -> None:
    story = resolved_story()
    story.says("alice", NoteAdded("seen again at noon"))
    for event in (Acknowledged(), StepRequested(1, "again"), SeverityChanged(Severity.P1, "")):
        refused = story.refused("alice", event)
        assert refused == 'INC-1 is closed (resolved): reopen it first with `tocsin reopen INC-1 --reason "…"`'
    assert story.refused("alice", StatusChanged(Status.MONITORING, "")) == refused


def test_reopening_a_false_alarm_goes_on_where_it_stopped() -> None:
    story = Story()
    story.says("alice", ClosedAsFalseAlarm("a planned payout"))
    story.passes(minutes(60))
    assert story.says("alice", Reopened("not planned at all")) == (
        SetDeadline(BUDGET, "1", MIDNIGHT + minutes(65)),
        Preflight("INC-1/1.0.2", 1, 0, (0, 1)),
    )
    assert story.state.status is Status.INVESTIGATING
    assert story.state.closed_reason is None


def test_reopening_a_resolved_incident_lets_steps_be_repeated() -> None:
    story = resolved_story()
    story.says("alice", Reopened("it moves again"))
    assert story.state.status is Status.INVESTIGATING
    assert story.state.resolved_at is None
    commands = story.says("alice", StepRequested(1, "pause again"))
    assert commands[-1] == Preflight("INC-1/1.0.2", 1, 0, (0, 1))


@pytest.mark.parametrize(
    ("event", "because"),
    [
        (StatusChanged(Status.TRIGGERED, ""), "the status is triggered already"),
        (StatusChanged(Status.ACKNOWLEDGED, ""), "acknowledge with `tocsin ack INC-1`"),
        (StatusChanged(Status.RESOLVED, ""), "resolve it first with `tocsin resolve INC-1"),
        (StatusChanged(Status.REVIEWED, ""), "resolve it first"),
        (StatusChanged(Status.FALSE_ALARM, ""), "close it with `tocsin close --false-alarm INC-1"),
        (SeverityChanged(Severity.P0, ""), "the severity is P0 already"),
        (RoleAssigned("CEO", "alice"), "no role 'CEO': it has IC, TL, CL"),
        (RoleAssigned("IC", ""), "say who takes the role"),
        (NoteAdded("  "), "a note needs a text"),
        (Reopened("why not"), "INC-1 is open (triggered)"),
    ],
)
def test_what_does_not_apply_is_refused_with_what_to_do_instead(event: Event, because: str) -> None:
    story = Story()
    assert because in (story.refused("alice", event) or "")
    before = story.state
    assert story.record("alice", event) == ()
    assert story.state == before


def test_only_tocsin_reports_outcomes_and_only_people_decide() -> None:
    story = Story()
    story.proposes("INC-1/1.0.1")
    assert "only Tocsin records" in (story.refused("mallory", finished("INC-1/1.0.1")) or "")
    assert "only a person may" in (story.refused(TOCSIN.id, Acknowledged()) or "")


def test_moving_to_monitoring_says_that_the_harm_has_stopped() -> None:
    story = Story()
    story.passes(minutes(3))
    story.says("alice", StatusChanged(Status.MONITORING, "paused by hand"))
    assert story.state.mitigated_at == story.now

"""The log as people read it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from incident.story import EXPLOIT, MIDNIGHT, TX, Story, finished, minutes
from incident.strategies import any_event
from tocsin.domain.actions import ActionStatus, Autonomy, QuorumResult, Verification
from tocsin.incident.events import (
    DeadlineKind,
    DeadlineReached,
    Event,
    ItemTicked,
    Recorded,
    RoleAssigned,
    RunFinished,
    RunSent,
    StepSkipped,
)
from tocsin.incident.timeline import timeline

RUN = "INC-1/1.0.1"


def test_a_timeline_reads_as_a_story() -> None:
    story = Story()
    story.tocsin(RoleAssigned("IC", "alice"))
    story.proposes(RUN, Autonomy.ASK)
    approval = story.approval(RUN, "alice")
    story.says("alice", approval)
    story.tocsin(RunSent(RUN, TX, 120))
    proof = Verification(True, "paused", 9, QuorumResult(needed=2, confirmed=3, of=3), "a payment FAULTs now")
    story.tocsin(RunFinished(RUN, ActionStatus.VERIFIED, TX, 8, proof, None))
    story.passes(minutes(15))
    story.tocsin(DeadlineReached(DeadlineKind.STEP_BUDGET, "2", MIDNIGHT + minutes(15)))
    story.says("bob", ItemTicked(2, 0, "one sender"))
    story.says("bob", StepSkipped(2, "enough is known"))
    entries = timeline(story.log, EXPLOIT)
    assert [(entry.author, entry.sentence, entry.height) for entry in entries] == [
        ("tocsin", "Declared P0 Smart Contract Exploit: funds move", None),
        ("tocsin", "alice is IC", None),
        ("tocsin", f"Run {RUN} proposes: contract.pause now (asks for approval)", None),
        ("alice", f"Approved run {RUN}, plan {approval.approval.plan_hash[:12]}", None),
        ("tocsin", f"Run {RUN} sent {TX}, valid until block 120", None),
        (
            "tocsin",
            f"Run {RUN} ended verified: paused (3 of 3 providers, 2 needed); a payment FAULTs now",
            8,
        ),
        ("tocsin", "The budget of step 2, Investigate is used up", None),
        ("bob", "Ticked “Review transactions” of step 2, Investigate: one sender", None),
        ("bob", "Skipped step 2, Investigate: enough is known", None),
    ]


def test_without_the_runbook_steps_are_called_by_their_numbers() -> None:
    story = Story()
    story.says("bob", StepSkipped(1, "paused already"))
    assert timeline(story.log)[-1].sentence == "Skipped step 1: paused already"


def test_a_failure_says_why() -> None:
    story = Story()
    story.proposes(RUN)
    story.tocsin(finished(RUN, ActionStatus.FAILED, "the script FAULTs"))
    assert timeline(story.log)[-1].sentence == f"Run {RUN} ended failed: the script FAULTs"


@given(st.lists(any_event, max_size=5))
@settings(max_examples=100, deadline=None)
def test_every_event_has_a_sentence(events: list[Event]) -> None:
    log = [Recorded("INC-1", n, MIDNIGHT, "alice", str(n), event) for n, event in enumerate(events, start=1)]
    entries = timeline(log, EXPLOIT)
    assert [entry.seq for entry in entries] == [recorded.seq for recorded in log]
    for entry, event in zip(entries, events, strict=True):
        assert entry.sentence
        assert entry.sentence != type(event).__name__ or entry.sentence in ("Acknowledged", "Resolved", "Reopened")

"""The procedure: one step after the other, yet no tunnel."""

import pytest

from incident.story import EXPLOIT, MIDNIGHT, Story, budget, choice, emergency, finished, items, minutes, step
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.principals import TOCSIN
from tocsin.incident.commands import ClearDeadline, Preflight, SetDeadline
from tocsin.incident.events import (
    CommandDone,
    ConditionAnswered,
    DeadlineKind,
    Event,
    ItemTicked,
    RunManual,
    RunRefused,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.state import StepStatus
from tocsin.incident.waiting import waiting_for

BUDGET = DeadlineKind.STEP_BUDGET

HUB = emergency(
    step(1, "Check Payment Hub Status", choices=(choice("isPaused"),), checklist=items("Check events")),
    step(2, "Pause New Payments", within=budget(5), condition="if critical", choices=(choice("pauseAll"),)),
    step(3, "Investigate and Fix", checklist=items("Review payments")),
)
DATABASE = emergency(step(1, "Check Database Status", choices=(choice("curl health"), choice("psql"))))


def hub_at_condition() -> Story:
    story = Story(HUB)
    story.proposes("INC-1/1.0.1", action="contract.read", approvals_needed=0)
    story.tocsin(finished("INC-1/1.0.1"))
    story.says("alice", ItemTicked(1, 0, ""))
    return story


def test_a_step_is_done_when_its_choices_are_settled_and_its_items_ticked() -> None:
    story = Story(HUB)
    story.says("alice", ItemTicked(1, 0, "receipts fail"))
    assert story.step(1).status is StepStatus.ACTIVE
    story.proposes("INC-1/1.0.1", action="contract.read", approvals_needed=0)
    story.tocsin(finished("INC-1/1.0.1"))
    assert story.step(1).status is StepStatus.DONE
    assert story.state.mitigated_at is None, "a read mitigates nothing"


def test_the_choices_of_a_step_run_one_after_the_other() -> None:
    story = Story(DATABASE)
    assert [command for command in story.commands if isinstance(command, Preflight)] == [
        Preflight("INC-1/1.0.1", 1, 0, (0,))
    ]
    story.proposes("INC-1/1.0.1")
    assert story.tocsin(finished("INC-1/1.0.1")) == (Preflight("INC-1/1.1.1", 1, 1, (0,)),)


def test_a_condition_is_for_people_to_answer_and_not_for_tocsin() -> None:
    story = hub_at_condition()
    assert "only a person" in (story.refused(TOCSIN.id, ConditionAnswered(2, holds=True, reason="it does")) or "")


def test_nothing_of_a_conditional_step_runs_before_its_condition_is_answered() -> None:
    story = hub_at_condition()
    assert story.step(2).status is StepStatus.ACTIVE
    assert story.state.deadline(BUDGET, "2") is not None
    assert "waits for an answer to 'if critical'" in (story.refused("alice", StepRequested(2, "now")) or "")
    assert story.says("alice", ConditionAnswered(2, holds=True, reason="users can't pay")) == (
        Preflight("INC-1/2.0.1", 2, 0, (0,)),
    )


def test_a_condition_that_does_not_hold_skips_the_step() -> None:
    story = hub_at_condition()
    story.says("alice", ConditionAnswered(2, holds=False, reason=""))
    assert story.step(2).status is StepStatus.SKIPPED
    assert story.step(2).reason == "the condition does not hold: if critical"
    assert story.step(3).status is StepStatus.ACTIVE
    story.says("alice", StepRequested(2, "it got worse"))
    assert story.step(2).condition_open, "running it after all asks again"


def test_a_budget_runs_from_the_activation_to_the_upper_end_of_its_range() -> None:
    story = Story()
    story.says("alice", StepSkipped(1, "paused already"))
    story.passes(minutes(10))
    story.says("alice", ItemTicked(2, 0, ""))
    commands = story.says("alice", ItemTicked(2, 1, ""))
    assert commands == (ClearDeadline(BUDGET, "2"), SetDeadline(BUDGET, "3", MIDNIGHT + minutes(250)))


def test_a_step_with_nothing_but_a_title_is_one_item() -> None:
    story = Story(emergency(step(1, "Call the exchange")))
    assert [item.text for item in story.step(1).items] == ["Call the exchange"]
    story.says("alice", ItemTicked(1, 0, "they froze it"))
    assert story.step(1).status is StepStatus.DONE


def test_a_step_may_run_early_with_a_reason_while_the_first_one_goes_on() -> None:
    story = Story()
    assert "say why" in (story.refused("alice", StepRequested(2, "")) or "")
    story.says("alice", StepRequested(2, "find the sender meanwhile"))
    assert [s.status for s in story.state.steps] == [StepStatus.ACTIVE, StepStatus.ACTIVE, StepStatus.PENDING]
    story.says("alice", ItemTicked(2, 0, ""))
    story.says("alice", ItemTicked(2, 1, ""))
    assert story.step(3).status is StepStatus.PENDING, "step 1 is not finished"
    story.proposes("INC-1/1.0.1")
    story.tocsin(finished("INC-1/1.0.1"))
    assert story.step(3).status is StepStatus.ACTIVE


def test_skipping_withdraws_what_has_not_begun_to_act() -> None:
    story = Story()
    story.proposes("INC-1/1.0.1", Autonomy.ASK_THEN_ACT)
    commands = story.says("alice", StepSkipped(1, "the admin paused"))
    assert ClearDeadline(DeadlineKind.APPROVAL_WAIT, "INC-1/1.0.1") in commands
    assert story.run("INC-1/1.0.1").status is ActionStatus.SKIPPED


@pytest.mark.parametrize("status", [ActionStatus.RUNNING, ActionStatus.UNKNOWN])
def test_a_step_is_not_skipped_while_its_run_may_take_effect(status: ActionStatus) -> None:
    story = Story()
    story.proposes("INC-1/1.0.1")
    if status is ActionStatus.UNKNOWN:
        story.tocsin(finished("INC-1/1.0.1", status))
    refused = story.refused("alice", StepSkipped(1, "no time"))
    assert "may take effect" in (refused or "")
    story.says("alice", StepRequested(2, "meanwhile"))
    assert story.step(2).status is StepStatus.ACTIVE, "the others are not held up"


def test_a_failed_run_fails_the_step_until_a_person_runs_it_again() -> None:
    story = Story()
    story.tocsin(RunRefused("INC-1/1.0.1", {"code": "no-key", "message": "no key is configured"}))
    assert story.step(1).status is StepStatus.FAILED
    assert story.step(1).reason == "no key is configured"
    assert story.step(2).status is StepStatus.PENDING
    assert story.says("alice", StepRequested(1, "", choice=0, alternative=1))[-1] == Preflight(
        "INC-1/1.0.2", 1, 0, (1,)
    )
    assert story.step(1).status is StepStatus.ACTIVE
    assert story.step(1).reason is None
    story.proposes("INC-1/1.0.2", alternative=1)
    story.tocsin(finished("INC-1/1.0.2"))
    assert story.step(1).status is StepStatus.DONE


def test_a_later_choice_may_run_by_name_when_the_first_has_failed() -> None:
    story = Story(DATABASE)
    story.tocsin(RunRefused("INC-1/1.0.1", {"message": "no such host"}))
    assert story.says("alice", StepRequested(1, "ask the database itself", choice=1))[-1] == Preflight(
        "INC-1/1.1.1", 1, 1, (0,)
    )
    assert "under way" in (story.refused("alice", StepRequested(1, "both", choice=0)) or "")
    assert waiting_for(story.state) == (), "one thing at a time"
    story.proposes("INC-1/1.1.1")
    story.tocsin(finished("INC-1/1.1.1"))
    assert story.step(1).status is StepStatus.FAILED, "the first choice still has failed"


def test_repeating_a_step_that_is_done_needs_a_reason_and_begins_it_anew() -> None:
    story = Story()
    story.proposes("INC-1/1.0.1")
    story.tocsin(finished("INC-1/1.0.1"))
    assert "to run it again, say why" in (story.refused("alice", StepRequested(1, " ")) or "")
    story.passes(minutes(3))
    commands = story.says("alice", StepRequested(1, "somebody resumed"))
    assert commands[-2:] == (
        SetDeadline(BUDGET, "1", MIDNIGHT + minutes(8)),
        Preflight("INC-1/1.0.2", 1, 0, (0, 1)),
    )


def test_repeating_a_skipped_step_takes_up_only_what_was_left() -> None:
    story = Story(DATABASE)
    story.proposes("INC-1/1.0.1")
    story.tocsin(finished("INC-1/1.0.1"))
    story.tocsin(RunRefused("INC-1/1.1.1", {"message": "no such host"}))
    story.says("alice", StepSkipped(1, "later"))
    assert story.says("alice", StepRequested(1, "the host is back"))[-1] == Preflight("INC-1/1.1.2", 1, 1, (0,))


def test_a_manual_command_waits_for_a_person_to_say_that_it_is_done() -> None:
    story = Story()
    story.tocsin(RunManual("INC-1/1.0.1", 1, "no shell"))
    assert story.step(1).status is StepStatus.ACTIVE
    story.says("alice", CommandDone(1, 0, 1, "paused with neo-go"))
    assert story.step(1).status is StepStatus.DONE
    by_hand = story.run("INC-1/1.0.1").by_hand
    assert by_hand is not None
    assert (by_hand.by, by_hand.alternative) == ("alice", 1)


def test_doing_it_by_hand_withdraws_the_plan_that_waits_for_an_approval() -> None:
    story = Story()
    story.proposes("INC-1/1.0.1", Autonomy.ASK_THEN_ACT)
    late = story.approval("INC-1/1.0.1", "bob")
    story.says("alice", CommandDone(1, 0, 0, "paused with the admin's wallet"))
    assert story.state.deadline(DeadlineKind.APPROVAL_WAIT, "INC-1/1.0.1") is None
    assert story.refused("bob", late) == "run INC-1/1.0.1 does not wait for an approval (it is skipped)"


@pytest.mark.parametrize(
    ("event", "because"),
    [
        (StepRequested(9, "x"), "there is no step 9: this procedure has steps 1 to 3"),
        (StepRequested(1, "x", choice=4), "has no choice 4: it has 1"),
        (StepRequested(1, "x", choice=-1), "has no choice -1"),
        (StepRequested(1, "x", alternative=2), "has no alternative 2: it has 2"),
        (StepRequested(2, "x", alternative=0), "say which choice"),
        (StepRequested(1, "x"), "run INC-1/1.0.1 is under way (preflight): wait"),
        (StepSkipped(1, ""), "say why step 1, Pause Contracts is skipped"),
        (ConditionAnswered(1, holds=True, reason=""), "has no condition"),
        (ItemTicked(1, 0, ""), "has no item 0"),
        (ItemTicked(2, 0, ""), 'begin it early with `tocsin step run INC-1 2 --reason "…"`'),
        (CommandDone(1, 3, 0, ""), "has no choice 3"),
        (CommandDone(1, 0, 7, ""), "has no alternative 7"),
        (CommandDone(1, 0, 0, ""), "is under way (preflight): wait"),
    ],
)
def test_what_can_not_be_done_with_a_step_now_is_refused_with_the_way_out(event: Event, because: str) -> None:
    story = Story(EXPLOIT)
    assert because in (story.refused("alice", event) or "")
    before = story.state
    assert story.record("alice", event) == ()
    assert story.state == before


def test_an_item_is_ticked_once() -> None:
    story = hub_at_condition()
    assert "step 1, Check Payment Hub Status is done" in (story.refused("bob", ItemTicked(1, 0, "")) or "")
    story.says("alice", StepSkipped(2, "not critical"))
    third = Story(emergency(step(1, "Investigate", checklist=items("Look", "Think"))))
    third.says("alice", ItemTicked(1, 0, ""))
    assert third.refused("bob", ItemTicked(1, 0, "")) == "alice has ticked this item already"

"""Runs: how freely they act, who must approve, and what an unknown outcome forbids."""

from dataclasses import replace

import pytest

from incident.story import OTHER_TX, TX, Story, finished, minutes, plan
from tocsin.domain.actions import ActionStatus, Autonomy, Verification
from tocsin.domain.principals import TOCSIN, Approval
from tocsin.incident.commands import ClearDeadline, Execute, Preflight, Reconcile, SetDeadline
from tocsin.incident.decide import outstanding
from tocsin.incident.events import (
    ClosedAsFalseAlarm,
    CommandDone,
    DeadlineKind,
    DeadlineReached,
    PlanApproved,
    PlanProposed,
    Resolved,
    RunFinished,
    RunFired,
    RunSent,
    Status,
    StepRequested,
    StepSkipped,
)
from tocsin.incident.state import StepStatus

RUN = "INC-1/1.0.1"
AGAIN = "INC-1/1.0.2"
WAIT = DeadlineKind.APPROVAL_WAIT


def test_act_runs_at_once() -> None:
    story = Story()
    assert story.proposes(RUN) == (Execute(RUN),)
    assert story.run(RUN).status is ActionStatus.RUNNING


def test_ask_runs_when_a_person_has_approved() -> None:
    story = Story()
    assert story.proposes(RUN, Autonomy.ASK) == ()
    assert story.run(RUN).status is ActionStatus.WAITING
    assert story.approves("alice", RUN)[-1] == Execute(RUN)
    assert story.state.acknowledged_by == "alice", "who approves has acknowledged"


def test_two_person_actions_need_two_people_whatever_the_autonomy() -> None:
    for autonomy in (Autonomy.ASK, Autonomy.ASK_THEN_ACT, Autonomy.ACT):
        story = Story()
        assert story.proposes(RUN, autonomy, action="contract.resume", approvals_needed=2) == ()
        assert Execute(RUN) not in story.approves("alice", RUN)
        refused = story.refused("alice", story.approval(RUN, "alice"))
        assert refused == f"alice has approved run {RUN} already: another person must"
        assert story.approves("bob", RUN) == (Execute(RUN),)


def test_ask_then_act_goes_ahead_after_the_wait() -> None:
    story = Story()
    due_at = story.now + minutes(2)
    assert story.proposes(RUN, Autonomy.ASK_THEN_ACT) == (SetDeadline(WAIT, RUN, due_at),)
    story.passes(minutes(2))
    assert story.tocsin(DeadlineReached(WAIT, RUN, due_at)) == (ClearDeadline(WAIT, RUN), Execute(RUN))
    assert story.state.breaches == (), "going ahead is no breach"


def test_an_approval_before_the_wait_is_over_runs_it_once() -> None:
    story = Story()
    due_at = story.now + minutes(2)
    story.proposes(RUN, Autonomy.ASK_THEN_ACT)
    assert story.approves("alice", RUN)[-2:] == (ClearDeadline(WAIT, RUN), Execute(RUN))
    story.passes(minutes(2))
    assert story.record(TOCSIN.id, DeadlineReached(WAIT, RUN, due_at)) == ()


def test_in_observe_mode_nothing_runs() -> None:
    story = Story(mode=Autonomy.OBSERVE)
    assert story.proposes(RUN, Autonomy.ACT) == ()
    assert story.run(RUN).status is ActionStatus.OBSERVED
    assert "only observed" in (story.refused("alice", story.approval(RUN, "alice")) or "")
    story.says("alice", CommandDone(1, 0, 0, "paused with neo-go"))
    assert story.step(1).status is StepStatus.DONE


def test_the_strictest_word_of_mode_and_action_wins() -> None:
    story = Story(mode=Autonomy.ASK)
    assert story.proposes(RUN, Autonomy.ACT) == ()
    assert story.run(RUN).autonomy is Autonomy.ASK


def test_an_approval_counts_for_its_own_plan_and_person_and_only_while_it_is_valid() -> None:
    story = Story()
    story.proposes(RUN, Autonomy.ASK)
    good = story.approval(RUN, "alice").approval

    def given(principal: str = "alice", plan_hash: str = good.plan_hash) -> PlanApproved:
        return PlanApproved(RUN, Approval(principal, plan_hash, "s", good.given_at, good.expires_at))

    assert "for another plan" in (story.refused("alice", given(plan_hash="old")) or "")
    assert "everybody approves for themselves" in (story.refused("alice", given(principal="bob")) or "")
    assert "has no run" in (story.refused("alice", PlanApproved("INC-1/9.0.1", good)) or "")
    story.passes(minutes(10))
    assert "has expired" in (story.refused("alice", given()) or "")
    assert story.record("alice", given()) == ()
    assert story.run(RUN).approvals == ()


def test_an_expired_approval_must_be_given_again() -> None:
    story = Story()
    story.proposes(RUN, Autonomy.ASK, approvals_needed=2)
    story.approves("alice", RUN)
    story.passes(minutes(11))
    assert story.approves("bob", RUN) == (), "alice's has expired"
    assert story.approves("alice", RUN) == (Execute(RUN),)


def test_another_alternative_may_be_asked_for_while_a_plan_waits() -> None:
    story = Story()
    story.proposes(RUN, Autonomy.ASK_THEN_ACT)
    assert "waits for an approval" in (story.refused("alice", StepRequested(1, "go")) or "")
    commands = story.says("alice", StepRequested(1, "only the one app", alternative=1))
    assert commands[-2:] == (ClearDeadline(WAIT, RUN), Preflight(AGAIN, 1, 0, (1,)))
    assert story.run(RUN).status is ActionStatus.SKIPPED
    assert story.record(TOCSIN.id, finished(RUN)) == ()


@pytest.mark.parametrize("status", [ActionStatus.REFUSED, ActionStatus.FAILED, ActionStatus.PARTIAL])
def test_a_run_that_did_not_succeed_leaves_the_step_to_a_person(status: ActionStatus) -> None:
    story = Story()
    story.proposes(RUN)
    assert story.tocsin(finished(RUN, status)) == ()
    assert story.step(1).status is StepStatus.FAILED
    assert story.says("alice", StepRequested(1, ""))[-1] == Preflight(AGAIN, 1, 0, (0, 1))


def test_after_an_unknown_outcome_no_other_run_begins_until_it_is_reconciled() -> None:
    story = Story()
    story.proposes(RUN)
    story.tocsin(RunSent(RUN, TX, 100))
    story.tocsin(finished(RUN, ActionStatus.UNKNOWN))
    assert story.step(1).status is StepStatus.FAILED
    refused = story.refused("alice", StepRequested(1, "the other then", alternative=1))
    assert refused == (
        f"run {RUN} may have taken effect, so no other alternative may run: "
        "reconcile it first with `tocsin step run INC-1 1 --choice 0`"
    )
    assert "may have taken effect" in (story.refused("alice", CommandDone(1, 0, 1, "did it myself")) or "")

    assert story.says("alice", StepRequested(1, ""))[-1] == Reconcile(RUN)
    assert outstanding(story.state)[-1] == Reconcile(RUN)
    assert "wait for its outcome" in (story.refused("alice", StepRequested(1, "")) or "")
    assert story.tocsin(finished(RUN, ActionStatus.UNKNOWN)) == ()
    assert story.says("alice", StepRequested(1, "")) == (Reconcile(RUN),)
    story.tocsin(finished(RUN, ActionStatus.FAILED))
    assert story.says("alice", StepRequested(1, "", alternative=1)) == (Preflight(AGAIN, 1, 0, (1,)),)


def test_a_reconciled_run_that_took_effect_goes_on_with_the_procedure() -> None:
    story = Story()
    story.proposes(RUN)
    story.tocsin(finished(RUN, ActionStatus.UNKNOWN))
    story.says("alice", StepRequested(1, ""))
    story.tocsin(finished(RUN))
    assert story.step(1).status is StepStatus.DONE
    assert story.state.mitigated_at == story.now


def test_an_incident_is_not_closed_while_a_run_may_take_effect() -> None:
    story = Story()
    story.proposes(RUN)
    for event in (Resolved("done"), ClosedAsFalseAlarm("nothing")):
        assert "still running" in (story.refused("alice", event) or "")
    story.tocsin(finished(RUN, ActionStatus.UNKNOWN))
    for event in (Resolved("done"), ClosedAsFalseAlarm("nothing")):
        assert "nobody knows yet" in (story.refused("alice", event) or "")
    story.says("alice", StepRequested(1, ""))
    assert "is finding out" in (story.refused("alice", Resolved("done")) or "")


def test_a_reflex_that_has_fired_takes_the_place_of_the_plan_and_its_approval() -> None:
    story = Story()
    story.proposes(RUN, Autonomy.ASK_THEN_ACT)
    fired = RunFired(RUN, 0, plan(RUN), "reflex/7", ("alice", "bob"))
    assert story.tocsin(fired) == (ClearDeadline(WAIT, RUN), Execute(RUN))
    assert story.run(RUN).key == "reflex/7", "the outbox knows the transaction by the reflex's key"
    assert "can't take its place any more" in (story.refused(TOCSIN.id, fired) or "")
    story.tocsin(finished(RUN))
    assert story.step(1).status is StepStatus.DONE


def test_a_reflex_fires_only_the_plan_of_the_run_it_takes_over() -> None:
    story = Story()
    foreign = replace(plan(RUN), runbook_hash="0" * 64)
    assert "another runbook" in (story.refused(TOCSIN.id, RunFired(RUN, 0, foreign, "reflex/7", ("alice",))) or "")
    assert "not INC-1/1.0.1" in (story.refused(TOCSIN.id, RunFired(RUN, 0, plan(AGAIN), "reflex/7", ("alice",))) or "")
    assert "does not try" in (story.refused(TOCSIN.id, RunFired(RUN, 5, plan(RUN), "reflex/7", ("alice",))) or "")
    assert story.refused("mallory", RunFired(RUN, 0, plan(RUN), "reflex/7", ("alice",))) is not None


def test_a_run_has_one_transaction() -> None:
    story = Story()
    story.proposes(RUN)
    story.tocsin(RunSent(RUN, TX, 100))
    assert story.refused(TOCSIN.id, RunSent(RUN, TX, 100)) is None, "the same bytes may be sent again"
    assert story.refused(TOCSIN.id, RunSent(RUN, OTHER_TX, 101)) == f"run {RUN} has sent {TX} already"


def test_plans_and_outcomes_that_nobody_waits_for_are_ignored() -> None:
    story = Story()
    story.proposes(RUN)
    second = PlanProposed(RUN, 0, plan(RUN), Autonomy.ACT)
    assert "no longer waited for" in (story.refused(TOCSIN.id, second) or "")
    assert "no outcome of a run" in (story.refused(TOCSIN.id, finished(RUN, ActionStatus.WAITING)) or "")
    unproven = RunFinished(RUN, ActionStatus.VERIFIED, TX, 7, Verification(holds=False, summary="not paused"), None)
    assert "does not hold" in (story.refused(TOCSIN.id, unproven) or "")
    story.tocsin(finished(RUN))
    assert "no outcome is waited for" in (story.refused(TOCSIN.id, finished(RUN, ActionStatus.FAILED)) or "")


def test_a_plan_of_another_run_alternative_or_runbook_is_not_taken_up() -> None:
    story = Story()
    assert "not INC-1/1.0.1" in (story.refused(TOCSIN.id, PlanProposed(RUN, 0, plan(AGAIN), Autonomy.ACT)) or "")
    assert "does not try alternative 5" in (
        story.refused(TOCSIN.id, PlanProposed(RUN, 5, plan(RUN), Autonomy.ACT)) or ""
    )
    foreign = replace(plan(RUN), runbook_hash="other")
    assert "another runbook" in (story.refused(TOCSIN.id, PlanProposed(RUN, 0, foreign, Autonomy.ACT)) or "")


def test_a_repeated_change_while_monitoring_is_mitigating_again() -> None:
    story = Story()
    story.proposes(RUN)
    story.tocsin(finished(RUN))
    story.says("alice", StepSkipped(2, "drill"))
    story.says("alice", StepSkipped(3, "drill"))
    assert story.state.status is Status.MONITORING
    story.says("alice", StepRequested(1, "somebody resumed"))
    assert story.proposes(AGAIN) == (Execute(AGAIN),)
    assert story.state.status is Status.MITIGATING
    story.tocsin(finished(AGAIN))
    assert story.state.status is Status.MONITORING


def test_after_a_crash_the_runner_is_told_again_what_is_still_to_be_done() -> None:
    story = Story()
    assert set(outstanding(story.state)) == set(story.commands)
    story.proposes(RUN, Autonomy.ASK_THEN_ACT)
    assert SetDeadline(WAIT, RUN, story.now + minutes(2)) in outstanding(story.replayed())
    story.approves("alice", RUN)
    assert Execute(RUN) in outstanding(story.replayed())
    story.tocsin(finished(RUN))
    assert Execute(RUN) not in outstanding(story.replayed())

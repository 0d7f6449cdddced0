"""What people are told to do next."""

from incident.story import INCIDENT, MIDNIGHT, Story, choice, emergency, finished, items, minutes, step
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.incident.events import Acknowledged, ConditionAnswered, ItemTicked, RunManual, StepRequested, StepSkipped
from tocsin.incident.waiting import Waiting, WaitingKind, waiting_for

RUN = "INC-1/1.0.1"


def acknowledged(story: Story) -> Story:
    story.says("alice", Acknowledged())
    return story


def only(story: Story) -> Waiting:
    (waiting,) = waiting_for(story.state)
    return waiting


def test_first_somebody_acknowledges() -> None:
    waiting = only(Story())
    assert waiting.sentence == "Acknowledge P0 Smart Contract Exploit."
    assert waiting.command == "tocsin ack INC-1"
    assert waiting.due_at == MIDNIGHT + minutes(5)


def test_nothing_is_asked_while_tocsin_is_at_work() -> None:
    story = acknowledged(Story())
    assert waiting_for(story.state) == ()
    story.proposes(RUN)
    assert waiting_for(story.state) == ()


def test_an_approval_names_its_plan_and_what_happens_without_it() -> None:
    story = acknowledged(Story())
    story.proposes(RUN, Autonomy.ASK_THEN_ACT)
    waiting = only(story)
    plan = story.run(RUN).plan
    assert plan is not None
    assert waiting.kind is WaitingKind.APPROVE
    assert waiting.plan_hash == plan.hash
    assert waiting.plan_inputs == plan.inputs
    assert waiting.command == f"tocsin approve {RUN} --plan {plan.hash[:12]}"
    assert waiting.due_at == MIDNIGHT + minutes(2)
    assert waiting.sentence == (
        f"Approve run {RUN}, plan {plan.hash[:12]}, for step 1, Pause Contracts: contract.pause now "
        "(0 of 1 approvals given; it goes ahead without when the wait is over)."
    )


def test_a_manual_command_is_shown_as_the_runbook_has_it() -> None:
    story = acknowledged(Story())
    story.tocsin(RunManual(RUN, 1, "no shell"))
    assert only(story).sentence == "Do by hand, for step 1, Pause Contracts: setPaused (no shell)."
    assert only(story).command == 'tocsin step done INC-1 1 "…" --choice 0 --alternative 1'


def test_in_observe_mode_people_do_it() -> None:
    story = acknowledged(Story(mode=Autonomy.OBSERVE))
    story.proposes(RUN)
    assert only(story).kind is WaitingKind.DO
    assert "Tocsin only observes" in only(story).sentence


def test_a_failure_offers_the_ways_out() -> None:
    story = acknowledged(Story())
    story.proposes(RUN)
    story.tocsin(finished(RUN, ActionStatus.FAILED, "the chain has refused it"))
    assert only(story).kind is WaitingKind.DECIDE
    assert only(story).sentence == (
        "Run step 1, Pause Contracts again, choose another alternative, do it by hand or skip it: "
        "the chain has refused it."
    )


def test_an_unknown_outcome_is_reconciled_and_offers_nothing_else() -> None:
    story = acknowledged(Story())
    story.proposes(RUN)
    story.tocsin(finished(RUN, ActionStatus.UNKNOWN, "the nodes vanished"))
    assert only(story).kind is WaitingKind.RECONCILE
    assert only(story).command == "tocsin step run INC-1 1 --choice 0"
    story.says("alice", StepRequested(1, "", choice=0))
    assert waiting_for(story.state) == (), "Tocsin is finding out"


def test_items_conditions_and_the_end() -> None:
    procedure = emergency(
        step(1, "Investigate", checklist=items("Look", "Think")),
        step(2, "Pause", condition="if critical", choices=(choice("pauseAll"),)),
    )
    story = acknowledged(Story(procedure))
    assert [waiting.command for waiting in waiting_for(story.state)] == [
        "tocsin step tick INC-1 1 0",
        "tocsin step tick INC-1 1 1",
    ]
    story.says("alice", ItemTicked(1, 0, ""))
    assert only(story).sentence == "Do and tick, for step 1, Investigate: Think."
    story.says("alice", StepSkipped(1, "known"))
    assert only(story).sentence == "Decide on step 2, Pause: does “if critical” hold?"
    story.says("alice", ConditionAnswered(2, holds=False, reason=""))
    assert only(story).command == f'tocsin resolve {INCIDENT} --reason "…"'

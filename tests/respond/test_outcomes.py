"""How a run ended says whether anything changed, and never more than is known."""

import pytest

from respond.house import RUN, House, open_house
from tocsin.domain.actions import ActionStatus
from tocsin.domain.errors import (
    Failed,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)
from tocsin.incident.events import (
    ClosedAsFalseAlarm,
    Reopened,
    RunFinished,
    RunSent,
    StepRequested,
    StepSkipped,
)
from tocsin.respond.incidents import NotApplicable

INCIDENT = "INC-2026-0001"
REFUSED, FAILED, PARTIAL, UNKNOWN = (
    ActionStatus.REFUSED,
    ActionStatus.FAILED,
    ActionStatus.PARTIAL,
    ActionStatus.UNKNOWN,
)


def an(error: type[TocsinError]) -> TocsinError:
    return error("code", "a message", next_step="do this", data={"target": "hub"})


async def unknown(house: House) -> None:
    """A run of which nobody knows whether it took effect."""
    await house.approved()
    house.world.lost.append(an(OutcomeUnknown))
    await house.runner.send(INCIDENT, RUN)
    assert (await house.run()).status is UNKNOWN


async def asked_again(house: House, attempt: str = "1") -> None:
    await house.says("alice", StepRequested(1, ""))
    await house.runner.reconcile(INCIDENT, RUN, attempt)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused, REFUSED),
        (Unavailable, REFUSED),
        (Failed, FAILED),
        (NeedsOperator, FAILED),
        (Partial, PARTIAL),
        (OutcomeUnknown, UNKNOWN),
    ],
)
async def test_how_a_run_ends_that_met_an_error_while_it_was_sent(
    error: type[TocsinError], status: ActionStatus
) -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["run"].append(an(error))
    await house.runner.send(INCIDENT, RUN)
    await house.runner.verify(INCIDENT, RUN)
    run = await house.run()
    assert run.status is status
    assert run.error == an(error).as_json()
    assert sum(isinstance(event, RunFinished) for event in await house.events()) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Failed, FAILED),
        (NeedsOperator, FAILED),
        (Partial, PARTIAL),
        (OutcomeUnknown, UNKNOWN),
        # Something was sent, so whatever can't be read now does not mean that nothing changed.
        (Unavailable, UNKNOWN),
        (Refused, UNKNOWN),
    ],
)
async def test_how_a_run_ends_that_met_an_error_while_it_was_verified(
    error: type[TocsinError], status: ActionStatus
) -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["verify"].append(an(error))
    await house.runner.send(INCIDENT, RUN)
    await house.runner.verify(INCIDENT, RUN)
    run = await house.run()
    assert run.status is status
    assert run.error == an(error).as_json()
    assert run.tx is not None


@pytest.mark.parametrize("error", [Refused, Unavailable])
async def test_a_read_that_gets_no_answer_changed_nothing(error: type[TocsinError]) -> None:
    house = await open_house()
    await house.planned()
    await house.says("alice", StepSkipped(1, "paused by hand"))
    read = f"{INCIDENT}/2.0.1"
    await house.runner.preflight(INCIDENT, read)
    house.world.answers["verify"].append(an(error))
    await house.runner.send(INCIDENT, read)
    await house.runner.verify(INCIDENT, read)
    assert (await house.run(read)).status is REFUSED


async def test_a_pause_that_does_not_hold_has_failed() -> None:
    house = await open_house()
    house.world.holds = False
    await house.approved()
    await house.runner.send(INCIDENT, RUN)
    await house.runner.verify(INCIDENT, RUN)
    run = await house.run()
    assert run.status is FAILED
    assert run.error_message == "nothing is paused"
    assert run.verification is not None
    assert not run.verification.holds


async def test_an_unknown_outcome_that_took_effect_is_verified_when_it_is_asked_for_again() -> None:
    house = await open_house()
    await unknown(house)
    await asked_again(house)
    run = await house.run()
    assert run.status is ActionStatus.VERIFIED
    assert run.tx == house.world.changed[RUN].tx
    assert house.world.asked.count("run") == 1, "asking again sends nothing"


async def test_an_unknown_outcome_of_which_nothing_was_sent_has_failed() -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["run"].append(an(OutcomeUnknown))
    await house.runner.send(INCIDENT, RUN)
    await asked_again(house)
    run = await house.run()
    assert run.status is FAILED
    assert run.error is not None
    assert run.error["code"] == "nothing-sent"
    assert house.world.changed == {}


async def test_an_outcome_can_stay_unknown_and_be_asked_for_once_more() -> None:
    house = await open_house()
    await unknown(house)
    house.world.answers["verify"].append(an(Unavailable))
    await asked_again(house, "1")
    assert (await house.run()).status is UNKNOWN
    assert not (await house.run()).reconciling
    await asked_again(house, "2")
    assert (await house.run()).status is ActionStatus.VERIFIED


async def test_an_answer_is_recorded_once_however_often_it_is_given() -> None:
    house = await open_house()
    await unknown(house)
    await asked_again(house)
    events = await house.events()
    await house.runner.reconcile(INCIDENT, RUN, "1")
    assert await house.events() == events


async def test_an_unforeseen_error_leaves_an_unknown_outcome_that_is_recorded_once() -> None:
    house = await open_house()
    await house.approved()
    for _ in range(2):
        await house.runner.crashed(INCIDENT, RUN, RuntimeError("a bug with a secret in it"), "send")
    run = await house.run()
    assert run.status is UNKNOWN
    assert run.error is not None
    assert run.error["code"] == "internal-error"
    assert "secret" not in str(run.error)
    assert sum(isinstance(event, RunFinished) for event in await house.events()) == 1
    await house.runner.verify(INCIDENT, RUN)
    assert (await house.run()).status is UNKNOWN, "only a person lets it be asked for again"


async def test_an_unforeseen_error_while_asking_again_does_not_end_the_asking() -> None:
    house = await open_house()
    await house.approved()
    await house.runner.crashed(INCIDENT, RUN, RuntimeError("a bug"), "send")
    for attempt in ("reconcile:7", "reconcile:9"):
        await house.says("alice", StepRequested(1, ""))
        assert (await house.run()).reconciling
        await house.runner.crashed(INCIDENT, RUN, RuntimeError("the same bug"), attempt)
        run = await house.run()
        assert run.status is UNKNOWN
        assert not run.reconciling


async def test_an_unknown_outcome_forbids_the_other_alternative_and_skipping() -> None:
    house = await open_house()
    await unknown(house)
    with pytest.raises(NotApplicable, match="may have taken effect"):
        await house.says("alice", StepRequested(1, "the other way", choice=0, alternative=1))
    with pytest.raises(NotApplicable, match="may take effect"):
        await house.says("alice", StepSkipped(1, "no time"))
    with pytest.raises(NotApplicable, match="nobody knows yet"):
        await house.says("alice", ClosedAsFalseAlarm("nothing happened"))


async def test_a_run_may_be_tried_anew_only_once_the_first_is_known_to_have_failed() -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["verify"].append(an(Failed))
    await house.runner.send(INCIDENT, RUN)
    await house.runner.verify(INCIDENT, RUN)
    await house.says("alice", StepRequested(1, ""))
    again = f"{INCIDENT}/1.0.2"
    await house.runner.preflight(INCIDENT, again)
    await house.approves("bob", again)
    await house.runner.send(INCIDENT, again)
    await house.runner.verify(INCIDENT, again)
    assert (await house.run(again)).status is ActionStatus.VERIFIED
    assert list(house.world.changed) == [RUN, again]


async def test_what_commands_of_a_closed_incident_find_is_dropped() -> None:
    house = await open_house()
    await house.planned()
    await house.says("alice", ClosedAsFalseAlarm("a planned payout"))
    events = await house.events()
    await house.runner.assign_roles(INCIDENT, ("IC",))
    await house.runner.preflight(INCIDENT, RUN)
    await house.runner.send(INCIDENT, RUN)
    assert await house.events() == events
    await house.says("alice", Reopened("it was none after all"))
    assert [type(event) for event in await house.events()].count(RunSent) == 0

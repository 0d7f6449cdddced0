"""An approved run is carried out once: with the consent that it needs, what it leases, and not again after a crash."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from respond.house import MIDNIGHT, NETWORK, RUN, House, open_house, signs
from respond.world import SWITCH, TwoPersonPause
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import OutcomeUnknown, Refused, Unavailable
from tocsin.domain.principals import TOCSIN, Approval, approval_message
from tocsin.incident.events import (
    DeadlineKind,
    DeadlineReached,
    PlanApproved,
    PlanProposed,
    RoleAssigned,
    RunFinished,
    RunSent,
)
from tocsin.incident.state import RunState
from tocsin.respond.approvals import APPROVAL_VALID_FOR
from tocsin.respond.runner import LEASE_TTL, Rules, Runner

INCIDENT = "INC-2026-0001"


class TickingClock:
    """A clock that goes on by a second whenever it is asked, so that who waits by it comes to an end."""

    def __init__(self, start: datetime) -> None:
        self._manual = ManualClock(start)
        self.asked = 0

    def now(self) -> datetime:
        self.asked += 1
        self._manual.advance(timedelta(seconds=1))
        return self._manual.now()


def code_of(run: RunState) -> str:
    assert run.error is not None
    return str(run.error["code"])


async def executed(house: House) -> RunState:
    """The run after the commands that the conductor would carry out for it."""
    await house.runner.send(INCIDENT, RUN)
    await house.runner.verify(INCIDENT, RUN)
    return await house.run()


async def test_an_approved_run_is_sent_verified_and_written_down() -> None:
    house = await open_house()
    await house.approved()
    run = await executed(house)
    assert run.status is ActionStatus.VERIFIED
    assert list(house.world.changed) == [RUN]
    assert run.tx == house.world.changed[RUN].tx
    assert run.height == 7
    assert [type(event) for event in await house.events()][-2:] == [RunSent, RunFinished]


async def test_what_was_leased_is_given_back() -> None:
    house = await open_house()
    await house.approved()
    await house.runner.send(INCIDENT, RUN)
    assert await house.leases.acquire(SWITCH, "another", LEASE_TTL) is None
    await house.runner.verify(INCIDENT, RUN)
    assert await house.leases.acquire(SWITCH, "another", LEASE_TTL) is not None


async def test_a_run_that_nobody_approved_is_not_sent() -> None:
    house = await open_house()
    await house.planned()
    assert (await executed(house)).status is ActionStatus.WAITING
    assert house.world.changed == {}


async def test_repeating_every_step_changes_and_records_nothing_twice() -> None:
    house = await open_house()
    await house.approved()
    await executed(house)
    events = await house.events()
    await executed(house)
    await house.runner.reconcile(INCIDENT, RUN, "99")
    assert await house.events() == events
    assert list(house.world.changed) == [RUN]


async def test_after_a_crash_the_outbox_is_found_and_nothing_is_asked_or_sent_again() -> None:
    house = await open_house()
    await house.approved()
    house.world.change(RUN)  # the bytes were stored, and then the process died
    house.clock.advance(APPROVAL_VALID_FOR)  # which is long ago: the consent would not be valid any more
    await house.leases.acquire(SWITCH, "another", LEASE_TTL)
    assert (await executed(house)).status is ActionStatus.VERIFIED
    assert "run" not in house.world.asked
    assert list(house.world.changed) == [RUN]


async def test_a_crash_after_the_transaction_was_written_down_repeats_nothing() -> None:
    house = await open_house()
    await house.approved()
    await house.runner.send(INCIDENT, RUN)
    await house.runner.send(INCIDENT, RUN)
    assert house.world.asked.count("run") == 1
    assert [type(event) for event in await house.events()].count(RunSent) == 1


async def test_an_approval_that_expired_before_the_run_could_begin_does_not_count() -> None:
    house = await open_house()
    await house.approved()
    house.clock.advance(APPROVAL_VALID_FOR)
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "not-approved")
    assert house.world.changed == {}


async def test_a_forged_approval_in_the_log_runs_nothing() -> None:
    house = await open_house()
    await house.planned()
    await house.smuggles(await house.forged("alice"), "alice")
    assert (await house.run()).status is ActionStatus.RUNNING, "the log is believed where no keys are known"
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "not-approved")
    assert house.world.changed == {}


async def test_the_signature_for_another_plan_runs_nothing() -> None:
    house = await open_house()
    run = await house.planned()
    assert run.plan is not None
    expires = house.clock.now() + timedelta(minutes=10)
    signature = signs("alice")(approval_message("another plan", expires))
    smuggled = PlanApproved(RUN, Approval("alice", run.plan.hash, signature, house.clock.now(), expires))
    await house.smuggles(smuggled, "alice")
    assert code_of(await executed(house)) == "not-approved"
    assert house.world.changed == {}


async def test_a_forged_approval_does_not_cut_the_wait_short() -> None:
    house = await open_house(inferred=False)
    run = await house.planned()
    assert run.autonomy is Autonomy.ASK_THEN_ACT
    await house.smuggles(await house.forged("alice"), "alice")
    assert code_of(await executed(house)) == "not-approved"
    assert house.world.changed == {}


async def test_a_run_that_asks_and_then_acts_goes_ahead_when_the_wait_is_over() -> None:
    house = await open_house(inferred=False)
    await house.planned()
    due = (await house.state()).deadline(DeadlineKind.APPROVAL_WAIT, RUN)
    assert due is not None
    house.clock.advance(due.due_at - house.clock.now())
    await house.incidents.record(INCIDENT, DeadlineReached(due.kind, RUN, due.due_at), TOCSIN.id)
    assert (await executed(house)).status is ActionStatus.VERIFIED


async def test_one_of_two_people_is_not_enough() -> None:
    house = await open_house(pause=TwoPersonPause)
    await house.planned()
    await house.approves("alice")
    assert (await executed(house)).status is ActionStatus.WAITING
    await house.approves("bob")
    assert (await executed(house)).status is ActionStatus.VERIFIED


async def test_a_forged_second_approval_is_not_a_second_person() -> None:
    house = await open_house(pause=TwoPersonPause)
    await house.planned()
    await house.approves("alice")
    await house.smuggles(await house.forged("bob"), "bob")
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "not-approved")
    assert "1 valid" in run.error_message


async def smuggled(house: House, **altered: Any) -> None:
    """Somebody writes the plan that the preflight would make into the store, but altered."""
    state = await house.declare()
    _, honest = await house.runner.plan(state, RUN, await house.command())
    await house.smuggles(PlanProposed(RUN, 0, replace(honest, **altered), Autonomy.ASK, ()), TOCSIN.id)


@pytest.mark.parametrize(
    "altered",
    [
        {"inputs": {"method": "transfer", "args": ["everything", "mallory"]}},
        {"inputs": {"method": "pauseAll", "args": ["another reason"]}},
        {"network": NETWORK + 1},
    ],
    ids=["another call", "another argument", "another network"],
)
async def test_an_approved_plan_that_is_not_the_runbooks_runs_nothing(altered: Mapping[str, Any]) -> None:
    house = await open_house()
    await smuggled(house, **altered)
    await house.approves("alice")
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "plan-is-not-the-runbooks")
    assert house.world.changed == {}


async def test_how_many_must_approve_is_the_actions_to_say_and_not_the_plans() -> None:
    house = await open_house(pause=TwoPersonPause)
    await smuggled(house, approvals_needed=1)
    await house.approves("alice")
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "not-approved")
    assert house.world.changed == {}


async def test_when_the_command_cannot_be_bound_again_nothing_runs() -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["bind pauseAll"].append(Unavailable("no-node", "no answer"))
    run = await executed(house)
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "no-node")
    assert house.world.changed == {}


async def test_an_approval_given_on_another_network_runs_nothing() -> None:
    test_network, house = await open_house(network=NETWORK + 1), await open_house()
    await test_network.planned()
    await house.planned()
    await house.smuggles(await test_network.approval("alice"), "alice")
    await executed(house)
    assert house.world.changed == {}


async def test_a_mode_that_only_observes_stops_what_was_approved_before() -> None:
    house = await open_house()
    await house.approved()
    observing = Runner(
        house.incidents,
        house.runner.catalogue,
        house.leases,
        house.runner.principals,
        house.clock,
        Rules(Autonomy.OBSERVE, {}, house.runner.rules.variables, {}, NETWORK),
    )
    await observing.send(INCIDENT, RUN)
    assert code_of(await house.run()) == "mode-observe"
    assert house.world.changed == {}


async def test_a_resource_that_another_run_changes_is_waited_for_and_then_refused() -> None:
    house = await open_house()
    await house.approved()
    await house.leases.acquire(SWITCH, "another", timedelta(hours=1))
    clock = TickingClock(MIDNIGHT)
    of = house.runner
    patient = Runner(
        of.incidents,
        of.catalogue,
        of.leases,
        of.principals,
        clock,
        of.rules,
        lease_wait_max=timedelta(seconds=10),
        lease_poll=timedelta(0),
    )
    await patient.send(INCIDENT, RUN)
    run = await house.run()
    assert (run.status, code_of(run)) == (ActionStatus.REFUSED, "resource-in-use")
    assert 10 <= clock.asked <= 15
    assert house.world.changed == {}
    assert await house.leases.acquire(SWITCH, "another", timedelta(hours=1)) is not None, "the lease is still theirs"


async def test_when_it_cannot_be_told_whether_it_was_sent_nothing_is_claimed_and_nothing_sent() -> None:
    house = await open_house()
    await house.approved()
    house.world.change(RUN)
    house.world.answers["recall"].append(Unavailable("store-busy", "the outbox can't be read"))
    await house.runner.send(INCIDENT, RUN)
    run = await house.run()
    assert (run.status, code_of(run)) == (ActionStatus.UNKNOWN, "run-not-recalled")
    assert "run" not in house.world.asked


async def test_an_unknown_outcome_keeps_its_lease_until_it_is_known() -> None:
    house = await open_house()
    await house.approved()
    house.world.lost.append(OutcomeUnknown("no-reply", "no node said whether it took it"))
    await house.runner.send(INCIDENT, RUN)
    assert (await house.run()).status is ActionStatus.UNKNOWN
    assert await house.leases.acquire(SWITCH, "another", LEASE_TTL) is None
    await house.runner.reconcile(INCIDENT, RUN, "9")
    assert (await house.run()).status is ActionStatus.VERIFIED
    assert await house.leases.acquire(SWITCH, "another", LEASE_TTL) is not None


async def test_a_refused_run_gives_its_lease_back() -> None:
    house = await open_house()
    await house.approved()
    house.world.answers["run"].append(Refused("rehearsal-faulted", "it would fail"))
    await house.runner.send(INCIDENT, RUN)
    assert await house.leases.acquire(SWITCH, "another", LEASE_TTL) is not None


@pytest.mark.parametrize("times", [1, 2])
async def test_roles_go_to_the_people_that_the_configuration_names_first(times: int) -> None:
    house = await open_house()
    await house.declare()
    for _ in range(times):
        await house.runner.assign_roles(INCIDENT, ("IC", "TL"))
    assert dict((await house.state()).roles) == {"IC": "alice"}
    assert [event for event in await house.events() if isinstance(event, RoleAssigned)] == [RoleAssigned("IC", "alice")]

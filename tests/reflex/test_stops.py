"""Stops: renewed before they expire, fired once, ready again only when people resumed or the shot was missed."""

from datetime import timedelta

import pytest

from fakes.shooting_range import NOW, OTHER_VAULT, VAULT, Chain, Gun, pending, stop
from tocsin.domain.clock import ManualClock
from tocsin.reflex.stops import RAISES_MAX, RENEW_BLOCKS_AHEAD, UNSEEN_BLOCKS_MAX, Readiness, Stops

VAULT_STOP, OTHER_STOP = stop("app vault", VAULT), stop("everything", VAULT, OTHER_VAULT)


class Scene:
    def __init__(self, scopes_per_hour: int = 3) -> None:
        self.gun, self.chain, self.clock = Gun(), Chain(), ManualClock(NOW)
        self.stops = Stops([VAULT_STOP, OTHER_STOP], self.gun, self.chain, self.clock, scopes_per_hour)

    def readiness(self) -> Readiness:
        return self.stops.status()[0].readiness


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.stops.tend(10)
    return made


async def test_the_narrowest_stop_protects_a_contract(scene: Scene) -> None:
    assert scene.stops.for_contract(VAULT) is VAULT_STOP
    assert scene.stops.for_contract(OTHER_VAULT) is OTHER_STOP


async def test_it_is_not_fired_before_it_is_prepared() -> None:
    scene = Scene()
    assert "not prepared" in (scene.stops.holds_back(VAULT_STOP) or "")
    await scene.stops.tend(10)
    assert scene.stops.holds_back(VAULT_STOP) is None


async def test_it_is_renewed_before_it_expires(scene: Scene) -> None:
    until = scene.stops.status()[0].armed_until
    assert until is not None
    await scene.stops.tend(until - RENEW_BLOCKS_AHEAD - 1)
    assert scene.gun.rearmed == 0
    await scene.stops.tend(until - RENEW_BLOCKS_AHEAD)
    assert scene.gun.rearmed == 2, "both stops"
    assert (scene.stops.status()[0].armed_until or 0) > until


async def test_a_fired_pause_holds_until_people_resume(scene: Scene) -> None:
    await scene.stops.fire(VAULT_STOP, pending(1).bid)
    scene.chain.paused = True
    await scene.stops.tend(11)
    assert scene.readiness() is Readiness.HOLDING
    assert not scene.stops.covers(VAULT_STOP, pending(2).bid), "harm all the same: it was resumed since the last look"
    await scene.stops.tend(500)
    assert scene.readiness() is Readiness.HOLDING, "it stays however long it takes"
    scene.chain.paused = False
    await scene.stops.tend(501)
    assert scene.readiness() is Readiness.READY


async def test_a_shot_that_missed_leaves_the_stop_ready_for_the_next_attack(scene: Scene) -> None:
    await scene.stops.fire(VAULT_STOP, pending(1).bid)
    await scene.stops.tend(10 + UNSEEN_BLOCKS_MAX)
    assert scene.readiness() is Readiness.FIRED
    await scene.stops.tend(10 + UNSEEN_BLOCKS_MAX + 1)
    assert scene.readiness() is Readiness.READY
    assert not scene.stops.covers(VAULT_STOP, pending(1).bid)


async def test_raises_are_bounded(scene: Scene) -> None:
    for number in range(RAISES_MAX):
        bid = pending(number, fee=10 ** (5 + number)).bid
        assert not scene.stops.covers(VAULT_STOP, bid)
        assert scene.stops.holds_back(VAULT_STOP) is None
        await scene.stops.fire(VAULT_STOP, bid)
    assert "raised" in (scene.stops.holds_back(VAULT_STOP) or "")


async def test_the_cap_limits_new_scopes_and_never_a_scope_that_was_fired_already() -> None:
    scene = Scene(scopes_per_hour=1)
    await scene.stops.tend(10)
    await scene.stops.fire(VAULT_STOP, pending(1).bid)
    assert "cap" in (scene.stops.holds_back(OTHER_STOP) or "")
    scene.chain.paused = True
    await scene.stops.tend(11)
    scene.chain.paused = False
    await scene.stops.tend(12)
    assert scene.stops.holds_back(VAULT_STOP) is None, (
        "people resumed it, and it must not stand open to a second attack"
    )
    scene.clock.advance(timedelta(hours=1))
    assert scene.stops.holds_back(OTHER_STOP) is None


async def test_nodes_that_do_not_answer_are_a_problem_that_is_shown_and_mends_itself(scene: Scene) -> None:
    scene.chain.silent = True
    await scene.stops.tend(11)
    assert "no endpoint answers" in scene.stops.status()[0].problem
    assert scene.stops.holds_back(VAULT_STOP) is None, "what is prepared can still be fired"


async def test_a_shot_from_before_a_restart_is_taken_up_again() -> None:
    scene = Scene()
    theft = pending(1).bid
    assert scene.stops.recover("reflex/app vault/0011", theft, 10) is VAULT_STOP
    await scene.stops.tend(11)
    assert scene.readiness() is Readiness.FIRED, "preparing it changes nothing about that"
    assert scene.stops.covers(VAULT_STOP, pending(2, fee=1).bid)
    assert not scene.stops.covers(VAULT_STOP, pending(3, fee=10**9).bid), "a dearer attack is answered all the same"
    scene.chain.paused = True
    await scene.stops.tend(12)
    assert scene.readiness() is Readiness.HOLDING


async def test_keys_of_others_are_no_shots() -> None:
    scene = Scene()
    for key in ("reflex/app nobody/0011", "reflex/app vault", "reflex/app vault/x/0011", "INC-2026-0001/1.0.1"):
        assert scene.stops.recover(key, pending(1).bid, 10) is None
    await scene.stops.tend(11)
    assert scene.readiness() is Readiness.READY


async def test_what_stands_paused_at_the_start_is_left_alone() -> None:
    scene = Scene()
    scene.chain.paused = True
    await scene.stops.tend(10)
    assert scene.readiness() is Readiness.HOLDING

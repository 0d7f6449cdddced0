"""The two apps: the honest one takes payments through the hub, the vulnerable one gives everything away."""

from collections.abc import Iterator

import pytest
from neo3.contracts.contract import CONTRACT_HASHES

from chain_fixture import GAS, Outcome, Signature, call, pay, unscoped, within
from deployed_contracts import GAME, ONE_GAS, PEOPLE, SHOP, World, deployed_world, manifest, nef

ADMIN, OPERATOR, OWNER, PAYER = PEOPLE.admin, PEOPLE.operator, PEOPLE.owner, PEOPLE.payer
ATTACKER, STRANGER = PEOPLE.attacker, PEOPLE.stranger
POT = 1_234_567_891
"""GAS fractions. No multiple of ten, so that a tenth leaves a rest."""
CLAIM_SYSTEM_FEE = ONE_GAS


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with deployed_world() as world:
        yield world


def buyer(world: World) -> Signature:
    """The payer's consent to an order, as tight as it goes."""
    return within(PAYER, GAS, world.app)


def order(world: World, amount: int = ONE_GAS) -> bytes:
    return call(world.app, "order", PAYER.hash, amount, "two pens")


def test_an_order_pays_through_the_hub_and_returns_its_receipt(world: World) -> None:
    reads = call(world.hub, "balanceOf", SHOP) + call(GAS, "balanceOf", world.app) + call(world.hub, "getReceipt", 2)
    outcome = world.chain.rehearse(order(world) + order(world) + reads, buyer(world))

    *others, receipt = outcome.values()
    assert others == [1, 2, 2 * ONE_GAS, 0]
    assert isinstance(receipt, list)
    assert receipt[:4] == [2, SHOP.encode(), PAYER.raw, ONE_GAS]
    assert receipt[5] == b"two pens"
    assert outcome.events_of(world.app)[0] == ("OrderPlaced", 1, PAYER.raw, ONE_GAS)


def test_nobody_orders_with_another_ones_money(world: World) -> None:
    assert "not authorised" in world.chain.rehearse(order(world), STRANGER).fault
    assert "not authorised" in world.chain.rehearse(order(world), unscoped(PAYER)).fault
    # A consent that does not reach the GAS contract moves no GAS.
    assert "payment failed" in world.chain.rehearse(order(world), PAYER).fault


@pytest.mark.parametrize("amount", [-1, 0])
def test_an_order_costs_something(world: World, amount: int) -> None:
    assert "invalid amount" in world.chain.rehearse(order(world, amount), buyer(world)).fault


def test_an_order_is_refused_while_the_app_must_stand_still(world: World) -> None:
    for pause in (call(world.registry, "pauseAll", "drill"), call(world.registry, "setPaused", True, SHOP)):
        assert "paused by registry" in world.chain.rehearse(pause + order(world), OPERATOR, buyer(world)).fault
    hub_only = call(world.hub, "setPaused", True)
    assert "hub paused" in world.chain.rehearse(hub_only + order(world), OPERATOR, buyer(world)).fault
    other_app = call(world.registry, "setPaused", True, GAME)
    assert world.chain.rehearse(other_app + order(world), OPERATOR, buyer(world)).values() == (True, 1)


def test_the_app_says_what_it_depends_on(world: World) -> None:
    reads = [call(world.app, name) for name in ("appId", "hub", "registry", "owner", "isPaused")]

    assert world.chain.rehearse(b"".join(reads)).values() == (
        SHOP.encode(),
        world.hub.to_array(),
        world.registry.to_array(),
        OWNER.raw,
        False,
    )


def test_only_the_owner_updates_the_honest_app(world: World) -> None:
    update = call(world.app, "update", nef("mini_app"), manifest("mini_app"), None)

    assert "not authorised" in world.chain.rehearse(update, ADMIN, STRANGER).fault
    assert world.chain.rehearse(update + call(world.app, "appId"), OWNER).values()[-1] == SHOP.encode()


def fill(world: World, amount: int = POT) -> bytes:
    return pay(PAYER, world.game, amount)


def claim(world: World) -> bytes:
    return call(world.game, "claimPrize", ATTACKER.hash)


def prize_of(world: World, outcome: Outcome) -> int:
    """What a claim paid, in GAS fractions, as told by the app and by the GAS contract alike."""
    ((name, winner, amount),) = outcome.events_of(world.game)
    assert (name, winner) == ("PrizePaid", ATTACKER.raw)
    assert isinstance(amount, int)
    assert ("Transfer", world.game.to_array(), ATTACKER.raw, amount) in outcome.events_of(GAS)
    return amount


@pytest.mark.parametrize("sponsored_meanwhile", [0, 77], ids=["", "while a sponsor pays in"])
def test_the_vulnerable_app_is_drained_in_exactly_ten_transactions_in_ten_blocks(
    world: World, sponsored_meanwhile: int
) -> None:
    chain, pot = world.chain, call(world.game, "pot")
    chain.send(fill(world), PAYER).values()
    assert chain.rehearse(pot).values() == (POT,)

    blocks: list[int] = []
    prizes: list[int] = []
    for number in range(10):
        assert chain.rehearse(pot).values() != (0,), f"drained after {number} claims already"
        outcome = chain.send(claim(world), ATTACKER)
        prizes.append(prize_of(world, outcome))
        blocks.append(outcome.block)
        if sponsored_meanwhile and number == 4:
            chain.send(fill(world, sponsored_meanwhile), PAYER).values()

    assert len(set(blocks)) == 10
    assert prizes[:9] == [POT // 10] * 9
    assert sum(prizes) == POT + sponsored_meanwhile
    assert chain.rehearse(pot).values() == (0,)
    assert "pot too small" in chain.rehearse(claim(world), ATTACKER).fault


def test_one_block_pays_one_prize(world: World) -> None:
    script = fill(world) + claim(world)

    assert world.chain.rehearse(script, PAYER, ATTACKER).values() == (True, True)
    assert "one prize a block" in world.chain.rehearse(script + claim(world), PAYER, ATTACKER).fault


def test_a_claim_needs_the_witness_of_the_account_that_it_pays(world: World) -> None:
    assert "not authorised" in world.chain.rehearse(fill(world) + claim(world), PAYER).fault


def test_an_attack_that_is_under_way_faults_once_the_registry_pauses(world: World) -> None:
    chain = world.chain
    chain.send(fill(world), PAYER).values()
    stolen = prize_of(world, chain.send(claim(world), ATTACKER))

    chain.send(call(world.registry, "pauseAll", "drill"), OPERATOR).values()
    try:
        stopped = chain.send(claim(world), ATTACKER, system_fee=CLAIM_SYSTEM_FEE)
        assert not stopped.halted
        assert "paused by registry" in stopped.fault
        assert chain.rehearse(call(world.game, "pot")).values() == (POT - stolen,)
    finally:
        chain.send(call(world.registry, "resumeAll"), ADMIN).values()
    assert chain.rehearse(claim(world), ATTACKER).values() == (True,)


@pytest.mark.parametrize("whole", [True, False], ids=["everything", "the app"])
def test_what_users_do_is_an_effect_probe_of_the_pause(world: World, whole: bool) -> None:
    registry = world.registry
    pause = call(registry, "pauseAll") if whole else call(registry, "setPaused", True, GAME)
    enter = call(world.game, "enter", STRANGER.hash)

    assert world.chain.rehearse(enter, STRANGER).values() == (True,)
    for script in (enter, fill(world), claim(world)):
        outcome = world.chain.rehearse(pause + script, OPERATOR, STRANGER, PAYER, ATTACKER)
        assert "paused by registry" in outcome.fault


def test_a_player_enters_for_nothing(world: World) -> None:
    script = call(world.game, "enter", STRANGER.hash) + call(world.game, "lastPlayer")
    outcome = world.chain.rehearse(script, STRANGER)

    assert outcome.values() == (True, STRANGER.raw)
    assert outcome.events_of(world.game) == [("PlayerEntered", STRANGER.raw)]
    assert "not authorised" in world.chain.rehearse(script, ATTACKER).fault


def test_the_game_takes_only_gas(world: World) -> None:
    neo = call(CONTRACT_HASHES.NEO_TOKEN, "transfer", world.chain.genesis.hash, world.game, 1, None)

    assert "only GAS" in world.chain.rehearse(neo, world.chain.genesis).fault


def test_the_vulnerable_app_says_what_it_is() -> None:
    assert b"FOR DRILLS ONLY" in manifest("vulnerable_app")

"""GasBank: whose GAS is held, who may spend it, and how much at once."""

from collections.abc import Iterator

import pytest
from neo3.contracts.contract import CONTRACT_HASHES

from chain_fixture import GAS, Argument, Party, call, pay, unscoped
from deployed_contracts import ONE_GAS, PEOPLE, World, contract_hash, deploy, deployed_world, manifest, nef

ADMIN, OPERATOR, OWNER, PAYER = PEOPLE.admin, PEOPLE.operator, PEOPLE.owner, PEOPLE.payer
PLATFORM, SPENDER, STRANGER = PEOPLE.platform, PEOPLE.spender, PEOPLE.stranger
POOL = 20 * ONE_GAS
OWN = ONE_GAS // 2
"""What is held for the owner."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with deployed_world() as world:
        refill = pay(PAYER, world.bank, POOL, "refill") + pay(PAYER, world.bank, OWN, OWNER.hash)
        assert world.chain.send(refill, PAYER).values() == (True, True)
        yield world


def balances(world: World) -> bytes:
    """Reads everything held, the pool, and what is held for the owner."""
    of_account = call(world.bank, "getBalance", PLATFORM.hash) + call(world.bank, "getBalance", OWNER.hash)
    return call(world.bank, "getBalance") + of_account


def test_the_bank_tells_what_it_holds_and_for_whom(world: World) -> None:
    assert world.chain.rehearse(balances(world)).values() == (POOL + OWN, POOL, OWN)
    assert world.chain.rehearse(call(world.bank, "getBalance", STRANGER.hash)).values() == (0,)


@pytest.mark.parametrize("data", [None, "refill", PLATFORM.hash], ids=["null", "refill", "platform"])
def test_a_refill_goes_to_the_pool(world: World, data: Argument) -> None:
    outcome = world.chain.rehearse(pay(PAYER, world.bank, 5, data) + balances(world), PAYER)

    assert outcome.values() == (True, POOL + OWN + 5, POOL + 5, OWN)
    assert outcome.events_of(world.bank) == [("Refilled", PAYER.raw, PLATFORM.raw, 5)]


def test_a_refill_goes_to_the_account_that_it_names(world: World) -> None:
    outcome = world.chain.rehearse(pay(PAYER, world.bank, 5, OWNER.hash) + balances(world), PAYER)

    assert outcome.values() == (True, POOL + OWN + 5, POOL, OWN + 5)
    assert outcome.events_of(world.bank) == [("Refilled", PAYER.raw, OWNER.raw, 5)]


@pytest.mark.parametrize("data", ["refund", "", bytes(20), ["refill"]])
def test_a_refill_with_other_data_is_refused(world: World, data: Argument) -> None:
    assert not world.chain.rehearse(pay(PAYER, world.bank, 5, data), PAYER).halted


def test_only_gas_is_taken(world: World) -> None:
    neo = call(CONTRACT_HASHES.NEO_TOKEN, "transfer", world.chain.genesis.hash, world.bank, 1, None)

    assert "only GAS" in world.chain.rehearse(neo, world.chain.genesis).fault


def test_sponsoring_takes_the_accounts_own_gas_first_and_the_rest_from_the_pool(world: World) -> None:
    outcome = world.chain.rehearse(call(world.bank, "spend", OWNER.hash, ONE_GAS) + balances(world), SPENDER)

    assert outcome.values() == (True, POOL + OWN - ONE_GAS, POOL - (ONE_GAS - OWN), 0)
    assert outcome.events_of(world.bank) == [("Spent", OWNER.raw, ONE_GAS, SPENDER.raw)]
    assert ("Transfer", world.bank.to_array(), OWNER.raw, ONE_GAS) in outcome.events_of(GAS)


def test_sponsoring_leaves_the_pool_alone_while_the_account_has_enough(world: World) -> None:
    outcome = world.chain.rehearse(call(world.bank, "spend", OWNER.hash, OWN) + balances(world), SPENDER)

    assert outcome.values() == (True, POOL, POOL, 0)


def test_the_platform_account_is_sponsored_from_the_pool(world: World) -> None:
    outcome = world.chain.rehearse(call(world.bank, "spend", PLATFORM.hash, ONE_GAS) + balances(world), SPENDER)

    assert outcome.values() == (True, POOL + OWN - ONE_GAS, POOL - ONE_GAS, OWN)


@pytest.mark.parametrize("sponsored", [PLATFORM, OWNER, STRANGER], ids=["platform", "owner", "stranger"])
def test_no_more_is_spent_than_there_is(world: World, sponsored: Party) -> None:
    raised = call(world.bank, "setCallLimit", 1_000 * ONE_GAS)
    script = raised + call(world.bank, "spend", sponsored.hash, POOL + OWN + 1)

    assert "insufficient GAS" in world.chain.rehearse(script, ADMIN, SPENDER).fault


def test_one_accounts_gas_is_not_spent_for_another(world: World) -> None:
    script = call(world.bank, "setCallLimit", 1_000 * ONE_GAS) + call(world.bank, "spend", STRANGER.hash, POOL + 1)

    assert "insufficient GAS" in world.chain.rehearse(script, ADMIN, SPENDER).fault


@pytest.mark.parametrize("by", [ADMIN, OPERATOR, PLATFORM, STRANGER])
def test_only_authorised_accounts_spend(world: World, by: Party) -> None:
    assert "not authorised" in world.chain.rehearse(call(world.bank, "spend", OWNER.hash, 1), by).fault


def test_a_spender_without_a_scope_is_nobody(world: World) -> None:
    script = call(world.bank, "spend", OWNER.hash, 1)

    assert "not authorised" in world.chain.rehearse(script, unscoped(SPENDER)).fault


@pytest.mark.parametrize("amount", [-1, 0])
def test_an_amount_is_positive(world: World, amount: int) -> None:
    assert "invalid amount" in world.chain.rehearse(call(world.bank, "spend", OWNER.hash, amount), SPENDER).fault


def test_one_call_spends_no_more_than_the_limit(world: World) -> None:
    bank = world.bank
    assert world.chain.rehearse(call(bank, "callLimit")).values() == (ONE_GAS,)
    assert "over the call limit" in world.chain.rehearse(call(bank, "spend", OWNER.hash, ONE_GAS + 1), SPENDER).fault

    outcome = world.chain.rehearse(
        call(bank, "setCallLimit", ONE_GAS + 1) * 2 + call(bank, "spend", OWNER.hash, ONE_GAS + 1), ADMIN, SPENDER
    )
    assert outcome.values() == (True, True, True)
    assert outcome.events_of(bank)[:-1] == [("CallLimitChanged", ONE_GAS + 1)]


def test_a_limit_of_zero_stops_spending(world: World) -> None:
    script = call(world.bank, "setCallLimit", 0) + call(world.bank, "spend", OWNER.hash, 1)

    assert "over the call limit" in world.chain.rehearse(script, ADMIN, SPENDER).fault
    assert "invalid limit" in world.chain.rehearse(call(world.bank, "setCallLimit", -1), ADMIN).fault


def test_spending_stands_still_while_everything_is_paused(world: World) -> None:
    pause = call(world.registry, "pauseAll", "drill")
    spent = world.chain.rehearse(pause + call(world.bank, "spend", OWNER.hash, 1), OPERATOR, SPENDER)
    refilled = world.chain.rehearse(pause + pay(PAYER, world.bank, 1, "refill"), OPERATOR, PAYER)
    withdrawn = world.chain.rehearse(pause + call(world.bank, "withdraw", STRANGER.hash, POOL), ADMIN)

    assert "paused by registry" in spent.fault
    assert refilled.values() == (True, True)
    assert withdrawn.values() == (True, True)


def test_the_admin_authorises_spenders_and_takes_the_right_back(world: World) -> None:
    bank = world.bank
    enable, disable = (call(bank, "authorise", STRANGER.hash, enabled) * 2 for enabled in (True, False))
    outcome = world.chain.rehearse(
        enable + call(bank, "spend", OWNER.hash, 1) + disable + call(bank, "spenders"), ADMIN, STRANGER
    )

    assert outcome.values() == (True, True, True, True, True, [SPENDER.raw])
    assert outcome.events_of(bank) == [
        ("SpenderChanged", STRANGER.raw, True),
        ("Spent", OWNER.raw, 1, STRANGER.raw),
        ("SpenderChanged", STRANGER.raw, False),
    ]
    assert "not authorised" in world.chain.rehearse(disable + call(bank, "spend", OWNER.hash, 1), ADMIN, STRANGER).fault


def test_there_are_at_most_eight_spenders(world: World) -> None:
    add = [call(world.bank, "authorise", bytes([number]) * 20, True) for number in range(1, 9)]

    spenders = world.chain.rehearse(b"".join(add[:7]) + call(world.bank, "spenders"), ADMIN).values()[-1]
    assert isinstance(spenders, list)
    assert len(spenders) == 8
    assert "too many spenders" in world.chain.rehearse(b"".join(add), ADMIN).fault


def test_the_admin_withdraws_from_the_pool_and_from_nothing_else(world: World) -> None:
    outcome = world.chain.rehearse(call(world.bank, "withdraw", STRANGER.hash, POOL) + balances(world), ADMIN)
    assert outcome.values() == (True, OWN, 0, OWN)
    assert outcome.events_of(world.bank) == [("Withdrawn", STRANGER.raw, POOL)]

    too_much = call(world.bank, "withdraw", STRANGER.hash, POOL + 1)
    assert "insufficient GAS" in world.chain.rehearse(too_much, ADMIN).fault


def test_strangers_and_spenders_change_nothing(world: World) -> None:
    bank = world.bank
    for script in (
        call(bank, "withdraw", SPENDER.hash, 1),
        call(bank, "setCallLimit", 1),
        call(bank, "authorise", STRANGER.hash, True),
        call(bank, "update", nef("gas_bank"), manifest("gas_bank"), None),
    ):
        assert "not authorised" in world.chain.rehearse(script, SPENDER, PLATFORM, OPERATOR, STRANGER).fault


def test_the_admin_updates_the_code(world: World) -> None:
    update = call(world.bank, "update", nef("gas_bank"), manifest("gas_bank"), None)

    assert world.chain.rehearse(update + call(world.bank, "getBalance"), ADMIN).values()[-1] == POOL + OWN


def test_a_bank_can_do_without_registry_and_platform_account(world: World) -> None:
    deployer = STRANGER
    bank = contract_hash("gas_bank", deployer)
    script = (
        deploy("gas_bank", [deployer.hash, None])
        + call(bank, "authorise", deployer.hash, True)
        + pay(deployer, bank, 5, "refill")
    )
    script += call(bank, "spend", OWNER.hash, 2) + call(bank, "getBalance", deployer.hash) + call(bank, "platform")

    assert world.chain.rehearse(script, deployer).values() == (True, True, True, 3, deployer.raw)

"""PauseRegistry: who may stop what, who may start it again, and what is told to the world."""

from collections.abc import Iterator

import pytest
from neo3.network.payloads.verification import WitnessScope

from chain_fixture import Party, Signature, call, unscoped, within
from deployed_contracts import GAME, PEOPLE, SHOP, World, deploy, deployed_world, manifest, nef

ADMIN, OPERATOR, OTHER, STRANGER = PEOPLE.admin, PEOPLE.operator, PEOPLE.other_operator, PEOPLE.stranger


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with deployed_world() as world:
        yield world


@pytest.mark.parametrize("by", [OPERATOR, OTHER, ADMIN], ids=["operator", "other operator", "admin"])
def test_operators_and_the_admin_pause_everything(world: World, by: Party) -> None:
    registry = world.registry
    script = call(registry, "pauseAll", "funds are leaving") + call(registry, "isPaused")
    outcome = world.chain.rehearse(script + call(registry, "isPaused", SHOP) + call(registry, "reason"), by)

    assert outcome.values() == (True, True, True, b"funds are leaving")
    assert outcome.events_of(registry) == [("GlobalPauseChanged", True, by.raw, b"funds are leaving")]


def test_a_missing_reason_is_empty(world: World) -> None:
    outcome = world.chain.rehearse(call(world.registry, "pauseAll") + call(world.registry, "reason"), OPERATOR)

    assert outcome.values() == (True, b"")
    assert outcome.events_of(world.registry) == [("GlobalPauseChanged", True, OPERATOR.raw, b"")]


def test_a_second_pause_is_true_and_changes_nothing(world: World) -> None:
    registry = world.registry
    script = call(registry, "pauseAll", "first") + call(registry, "pauseAll", "second") + call(registry, "pauseAll")
    outcome = world.chain.rehearse(script + call(registry, "reason"), OPERATOR)

    assert outcome.values() == (True, True, True, b"first")
    assert len(outcome.events_of(registry)) == 1


def test_a_reason_has_at_most_256_bytes(world: World) -> None:
    assert world.chain.rehearse(call(world.registry, "pauseAll", "é" * 128), OPERATOR).values() == (True,)
    assert "reason too long" in world.chain.rehearse(call(world.registry, "pauseAll", "é" * 128 + "e"), OPERATOR).fault


CHANGES: list[tuple[str, tuple[bool | str, ...]]] = [
    ("resumeAll", ()),
    ("setPaused", (False, SHOP)),
    ("pauseAll", ()),
    ("pauseAll", ("why",)),
    ("setPaused", (True, SHOP)),
]


@pytest.mark.parametrize(("method", "arguments"), CHANGES[:2])
def test_operators_can_not_resume(world: World, method: str, arguments: tuple[bool | str, ...]) -> None:
    paused = call(world.registry, "pauseAll") + call(world.registry, "setPaused", True, SHOP)
    outcome = world.chain.rehearse(paused + call(world.registry, method, *arguments), OPERATOR)

    assert "not authorised" in outcome.fault


@pytest.mark.parametrize(("method", "arguments"), CHANGES)
def test_a_stranger_can_do_nothing(world: World, method: str, arguments: tuple[bool | str, ...]) -> None:
    assert "not authorised" in world.chain.rehearse(call(world.registry, method, *arguments), STRANGER).fault


@pytest.mark.parametrize(("method", "arguments"), CHANGES)
def test_without_a_scope_nobody_is_anybody(world: World, method: str, arguments: tuple[bool | str, ...]) -> None:
    script = call(world.registry, method, *arguments)

    assert "not authorised" in world.chain.rehearse(script, unscoped(OPERATOR), unscoped(ADMIN)).fault


def test_a_scope_over_another_contract_does_not_reach_the_registry(world: World) -> None:
    script = call(world.registry, "pauseAll")

    assert "not authorised" in world.chain.rehearse(script, within(OPERATOR, world.hub)).fault
    assert world.chain.rehearse(script, within(OPERATOR, world.registry)).values() == (True,)


def test_who_witnesses_counts_and_not_who_sends(world: World) -> None:
    outcome = world.chain.rehearse(call(world.registry, "pauseAll"), STRANGER, unscoped(OPERATOR), OTHER)

    assert outcome.events_of(world.registry) == [("GlobalPauseChanged", True, OTHER.raw, b"")]


def test_an_operator_is_named_before_the_admin(world: World) -> None:
    outcome = world.chain.rehearse(call(world.registry, "pauseAll"), ADMIN, OPERATOR)

    assert outcome.events_of(world.registry) == [("GlobalPauseChanged", True, OPERATOR.raw, b"")]


def test_the_multi_signature_admin_resumes_what_an_operator_paused(world: World) -> None:
    chain, registry = world.chain, world.registry
    assert chain.send(call(registry, "pauseAll", "drill"), OPERATOR).values() == (True,)
    assert chain.rehearse(call(registry, "isPaused")).values() == (True,)

    resumed = chain.send(call(registry, "resumeAll"), ADMIN)

    assert resumed.values() == (True,)
    assert resumed.events_of(registry) == [("GlobalPauseChanged", False, ADMIN.raw, b"")]
    assert chain.rehearse(call(registry, "isPaused") + call(registry, "reason")).values() == (False, b"")


def test_resuming_what_runs_is_true_and_silent(world: World) -> None:
    outcome = world.chain.rehearse(call(world.registry, "resumeAll"), ADMIN)

    assert outcome.values() == (True,)
    assert outcome.events_of(world.registry) == []


def test_one_app_stands_still_by_itself(world: World) -> None:
    registry = world.registry
    reads = call(registry, "isPaused", SHOP) + call(registry, "isPaused", GAME) + call(registry, "isPaused")
    outcome = world.chain.rehearse(call(registry, "setPaused", True, SHOP) * 2 + reads, OPERATOR)

    assert outcome.values() == (True, True, True, False, False)
    assert outcome.events_of(registry) == [("AppPauseChanged", SHOP.encode(), True, OPERATOR.raw)]


def test_an_app_paused_by_itself_stays_so_when_everything_resumes(world: World) -> None:
    registry = world.registry
    script = call(registry, "setPaused", True, SHOP) + call(registry, "pauseAll") + call(registry, "resumeAll")
    script += call(registry, "isPaused", SHOP) + call(registry, "setPaused", False, SHOP)
    outcome = world.chain.rehearse(script + call(registry, "isPaused", SHOP), ADMIN)

    assert outcome.values() == (True, True, True, True, True, False)
    assert outcome.events_of(registry)[-1] == ("AppPauseChanged", SHOP.encode(), False, ADMIN.raw)


def test_freeing_one_app_does_not_lift_the_pause_of_everything(world: World) -> None:
    registry = world.registry
    script = call(registry, "pauseAll") + call(registry, "setPaused", False, SHOP) + call(registry, "isPaused", SHOP)

    assert world.chain.rehearse(script, ADMIN).values() == (True, True, True)


@pytest.mark.parametrize("app_id", ["", "x" * 49, "é" * 25])
def test_an_app_id_has_1_to_48_bytes(world: World, app_id: str) -> None:
    assert "invalid app id" in world.chain.rehearse(call(world.registry, "setPaused", True, app_id), OPERATOR).fault


def test_an_app_id_of_48_bytes_can_be_paused(world: World) -> None:
    script = call(world.registry, "setPaused", True, "x" * 48) + call(world.registry, "isPaused", "x" * 48)

    assert world.chain.rehearse(script, OPERATOR).values() == (True, True)


def test_a_removed_operator_can_not_pause(world: World) -> None:
    registry = world.registry
    removed = call(registry, "removeOperator", OPERATOR.hash) * 2
    outcome = world.chain.rehearse(removed + call(registry, "isOperator", OPERATOR.hash), ADMIN)
    assert outcome.values() == (True, True, False)
    assert outcome.events_of(registry) == [("OperatorChanged", OPERATOR.raw, False)]

    # The admin consents by a scope that reaches the registry only through the entry script, as the operator does.
    outcome = world.chain.rehearse(removed + call(registry, "pauseAll"), ADMIN, OPERATOR)
    assert outcome.events_of(registry)[-1] == ("GlobalPauseChanged", True, ADMIN.raw, b"")

    try:
        world.chain.send(removed, ADMIN).values()
        assert "not authorised" in world.chain.rehearse(call(registry, "pauseAll"), OPERATOR).fault
        assert world.chain.rehearse(call(registry, "pauseAll"), OTHER).values() == (True,)
    finally:
        world.chain.send(call(registry, "addOperator", OPERATOR.hash), ADMIN).values()


def test_an_added_operator_can_pause(world: World) -> None:
    registry = world.registry
    script = call(registry, "addOperator", STRANGER.hash) * 2 + call(registry, "isOperator", STRANGER.hash)
    outcome = world.chain.rehearse(script + call(registry, "pauseAll"), ADMIN, STRANGER)

    assert outcome.values() == (True, True, True, True)
    assert outcome.events_of(registry) == [
        ("OperatorChanged", STRANGER.raw, True),
        ("GlobalPauseChanged", True, STRANGER.raw, b""),
    ]


def test_there_are_at_most_eight_operators(world: World) -> None:
    # Any 20 bytes can be an account; the two of the deployment are there already.
    add = [call(world.registry, "addOperator", bytes([number]) * 20) for number in range(1, 8)]
    eight = b"".join(add[:6]) + call(world.registry, "operators")

    operators = world.chain.rehearse(eight, ADMIN).values()[-1]
    assert isinstance(operators, list)
    assert len(operators) == 8
    assert "too many operators" in world.chain.rehearse(b"".join(add), ADMIN).fault


@pytest.mark.parametrize("method", ["addOperator", "setAdmin"])
@pytest.mark.parametrize("account", [bytes(20), bytes([1]) * 21], ids=["zero", "too long"])
def test_what_is_no_account_gets_no_right(world: World, method: str, account: bytes) -> None:
    assert not world.chain.rehearse(call(world.registry, method, account), ADMIN).halted


@pytest.mark.parametrize("method", ["addOperator", "removeOperator", "setAdmin"])
@pytest.mark.parametrize("by", [OPERATOR, STRANGER], ids=["operator", "stranger"])
def test_only_the_admin_says_who_may_do_what(world: World, method: str, by: Party) -> None:
    assert "not authorised" in world.chain.rehearse(call(world.registry, method, STRANGER.hash), by).fault


def test_a_new_admin_takes_over_at_once(world: World) -> None:
    registry = world.registry
    handed_over = call(registry, "setAdmin", STRANGER.hash)
    outcome = world.chain.rehearse(handed_over + call(registry, "admin"), ADMIN)

    assert outcome.values() == (True, STRANGER.raw)
    assert outcome.events_of(registry) == [("AdminChanged", ADMIN.raw, STRANGER.raw)]
    assert "not authorised" in world.chain.rehearse(handed_over + call(registry, "resumeAll"), ADMIN).fault
    assert world.chain.rehearse(handed_over + call(registry, "resumeAll"), ADMIN, STRANGER).values() == (True, True)


def test_only_the_admin_updates_the_code(world: World) -> None:
    update = call(world.registry, "update", nef("pause_registry"), manifest("pause_registry"), None)

    assert "not authorised" in world.chain.rehearse(update, OPERATOR).fault
    after = call(world.registry, "isOperator", OPERATOR.hash) + call(world.registry, "admin")
    assert world.chain.rehearse(update + after, ADMIN).values()[-2:] == (True, ADMIN.raw)


@pytest.mark.parametrize(
    ("operators", "complaint"),
    [([bytes([n]) * 20 for n in range(1, 10)], "too many operators"), ([b"\x01" * 20] * 2, "duplicate operator")],
)
def test_a_deployment_with_bad_operators_is_refused(world: World, operators: list[bytes], complaint: str) -> None:
    script = deploy("pause_registry", [ADMIN.hash, operators])

    # From another account, so that it is another contract.
    assert complaint in world.chain.rehearse(script, Signature(STRANGER, WitnessScope.CALLED_BY_ENTRY)).fault

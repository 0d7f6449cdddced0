"""The catalogue binds calls to actions, and keeps their inputs as JSON between two processes."""

import json

import pytest
from pydantic import ValidationError

from actions.platform import REGISTRY, SHOP, Platform, platform
from tocsin.actions.catalogue import Catalogue
from tocsin.actions.contract import ContractInvoke, ContractRead
from tocsin.domain.actions import ActionCall, Autonomy, SourcePosition
from tocsin.domain.canonical import Json, canonical_bytes
from tocsin.domain.errors import Refused

RUN = "INC-2025-0001/2.0.1"
CALLS = [
    ("contract.pause", {"contract": REGISTRY, "method": "setPaused", "args": ["true", 'ünïted "shop"']}),
    ("contract.invoke", {"contract": SHOP, "method": "setPrice", "args": ["7"]}),
    ("contract.read", {"contract": REGISTRY, "method": "isPaused", "args": []}),
]


@pytest.fixture
def scene() -> Platform:
    return platform()


def catalogue(scene: Platform) -> Catalogue:
    return Catalogue([ContractRead(scene.chain), ContractInvoke(scene.caller("invoke")), scene.pause()])


def call(action: str, arguments: dict[str, Json]) -> ActionCall:
    return ActionCall(action, arguments, SourcePosition("EMERGENCY_RUNBOOK.md", 83))


def test_it_knows_its_actions_by_name(scene: Platform) -> None:
    actions = catalogue(scene)
    assert actions.names == ("contract.invoke", "contract.pause", "contract.read")
    assert "contract.pause" in actions
    assert "gas.refill" not in actions


def test_two_actions_of_one_name_are_a_mistake(scene: Platform) -> None:
    with pytest.raises(AssertionError, match="the same name"):
        Catalogue([scene.pause(), scene.pause()])


@pytest.mark.parametrize(("name", "arguments"), CALLS)
async def test_a_bound_action_comes_back_from_its_json(scene: Platform, name: str, arguments: dict[str, Json]) -> None:
    actions = catalogue(scene)
    bound = await actions.bind(call(name, arguments))
    kept = json.loads(canonical_bytes(bound.inputs()))
    restored = actions.restore(name, kept)
    assert (restored.name, restored.inputs()) == (name, bound.inputs())
    assert await restored.preflight() == await bound.preflight()


async def test_a_restored_pause_is_carried_through_to_its_proof(scene: Platform) -> None:
    arguments: dict[str, Json] = {"contract": REGISTRY, "method": "pauseAll", "args": ["drained"]}
    bound = await catalogue(scene).bind(call("contract.pause", arguments))
    assert (bound.autonomy, bound.approvals, bound.changes) == (Autonomy.ASK_THEN_ACT, 1, True)
    before = (await bound.preflight()).before
    receipt = await bound.run(RUN, before)
    scene.chain.mine()
    restored = catalogue(scene).restore("contract.pause", json.loads(canonical_bytes(bound.inputs())))
    before = json.loads(canonical_bytes(before))
    recalled = await restored.recall(RUN, before)
    assert recalled is not None
    assert recalled == receipt
    verification = await restored.verify(RUN, before, recalled)
    assert verification.holds
    assert verification.effect_probe is not None
    assert "worked before, now refused" in verification.effect_probe
    with pytest.raises(Refused):
        await restored.compensate(RUN, before, recalled)


async def test_an_action_that_is_not_installed_is_refused_with_those_that_are(scene: Platform) -> None:
    with pytest.raises(Refused, match=r"no action gas\.refill") as refused:
        await catalogue(scene).bind(call("gas.refill", {}))
    assert "contract.invoke, contract.pause, contract.read" in refused.value.next_step
    with pytest.raises(Refused):
        catalogue(scene).restore("gas.refill", {})


@pytest.mark.parametrize("inputs", [{}, {"call": {"method": "pauseAll"}}, {"call": None, "paused": None}])
def test_an_input_of_another_form_is_an_error_and_no_refusal(scene: Platform, inputs: dict[str, Json]) -> None:
    # A refusal says that nothing changed, and nobody can know that of a run whose input can't be read.
    with pytest.raises(ValidationError):
        catalogue(scene).restore("contract.pause", inputs)

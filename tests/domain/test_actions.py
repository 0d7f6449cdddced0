"""Actions as values: the word that wins, and what a plan's hash binds."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.domain.actions import Autonomy, Plan, QuorumResult, SourcePosition
from tocsin.domain.canonical import Json, canonical_bytes

PLAN = Plan(
    run="INC-2025-0001/2.0.1",
    action="contract.pause",
    summary="pause everything",
    inputs={"call": {"method": "pauseAll", "arguments": ["drained"]}, "stops": "everything"},
    before={"paused": False},
    resources=("contract:0x01",),
    approvals_needed=1,
    runbook_hash="c0ffee",
    network=860_833_102,
)


@given(st.lists(st.sampled_from(Autonomy), min_size=1))
@settings(deadline=None)
def test_the_strictest_word_wins(words: list[Autonomy]) -> None:
    freedom = [Autonomy.OBSERVE, Autonomy.ASK, Autonomy.ASK_THEN_ACT, Autonomy.ACT]
    assert Autonomy.strictest(*words) == freedom[min(freedom.index(word) for word in words)]


def test_no_word_at_all_is_not_taken_for_consent() -> None:
    with pytest.raises(ValueError, match="empty"):
        Autonomy.strictest()


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, run="INC-2025-0001/2.0.2"),
        replace(PLAN, action="contract.invoke"),
        replace(PLAN, summary="pause nothing"),
        replace(PLAN, approvals_needed=0),
        replace(PLAN, runbook_hash="decade"),
        replace(PLAN, network=894_710_606),
        replace(PLAN, inputs={}),
        replace(PLAN, inputs={**PLAN.inputs, "stops": "payments"}),
        replace(PLAN, inputs={**PLAN.inputs, "call": {"method": "pauseAll", "arguments": ["other"]}}),
        replace(PLAN, inputs={**PLAN.inputs, "call": {"method": "pauseAll", "arguments": "drained"}}),
        replace(PLAN, inputs={**PLAN.inputs, "more": None}),
    ],
)
def test_a_plan_with_anything_else_in_it_has_another_hash(other: Plan) -> None:
    assert other.hash != PLAN.hash


def test_what_stood_before_is_evidence_and_no_part_of_the_consent() -> None:
    assert replace(PLAN, before={"paused": True}).hash == PLAN.hash


def test_the_hash_survives_a_way_through_json() -> None:
    inputs: dict[str, Json] = json.loads(canonical_bytes(PLAN.inputs))
    assert replace(PLAN, inputs=inputs).hash == PLAN.hash


@given(
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)),
)
@settings(deadline=None)
def test_two_plans_have_one_hash_only_if_they_have_one_input(one: dict[str, Json], other: dict[str, Json]) -> None:
    assert (replace(PLAN, inputs=one).hash == replace(PLAN, inputs=other).hash) == (one == other)


def test_a_quorum_is_reached_with_as_many_as_are_needed() -> None:
    assert QuorumResult(needed=2, confirmed=2, of=3).reached
    assert not QuorumResult(needed=2, confirmed=1, of=3).reached


def test_a_position_reads_as_editors_take_it() -> None:
    assert str(SourcePosition("EMERGENCY_RUNBOOK.md", 83, 5)) == "EMERGENCY_RUNBOOK.md:83"

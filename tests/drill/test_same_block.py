"""The same-block drill: with the reflex armed, the pause stands before the theft in the theft's own block."""

import json

import pytest

from drill.conftest import Drilled, RunDrill

EXPLOIT = "smart-contract-exploit"


def assert_nothing_was_lost(drilled: Drilled) -> None:
    assert drilled.code == 0, drilled.err + drilled.out
    report = json.loads(drilled.out)
    assert report["passed"] is True
    assert report["same_block"] is True
    assert report["lost"] == "0"
    assert report["baseline_lost"] == report["saved"] == "1000", "without Tocsin the attacker takes everything"
    assert [(i["emergency"], i["state"]) for i in report["incidents"]] == [(EXPLOIT, "resolved")]
    fired, other = sorted(report["steps"][0]["actions"], key=lambda action: action["status"] != "verified")
    assert (fired["status"], fired["quorum"]) == ("verified", {"needed": 2, "confirmed": 3, "of": 3})
    assert "now refused" in fired["effect_probe"]
    assert (other["status"], other["tx"]) == ("skipped", None)
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    assert report["left_behind"] == []


def test_the_pause_stands_before_the_theft_in_its_own_block(run_drill: RunDrill) -> None:
    assert_nothing_was_lost(run_drill("drill", EXPLOIT, "--same-block", "--block-ms", "1000", "--json"))


@pytest.mark.full
def test_the_pause_stands_before_the_theft_with_blocks_of_three_seconds(run_drill: RunDrill) -> None:
    assert_nothing_was_lost(run_drill("drill", EXPLOIT, "--same-block", "--block-ms", "3000", "--json"))


def test_the_plain_drill_says_nothing_of_the_same_block(run_drill: RunDrill) -> None:
    drilled = run_drill("drill", EXPLOIT, "--block-ms", "200", "--sabotage", "operator", "--json")
    assert json.loads(drilled.out).get("same_block") is None

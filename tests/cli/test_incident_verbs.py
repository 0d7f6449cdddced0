"""The verbs of an incident beside a real `tocsin serve`: they are picked up, and the world really changes."""

import asyncio
import json
import signal
from collections.abc import Generator
from datetime import datetime, timedelta

import pytest

from cli.installation import Installation, run_process
from miniapp_platform.admin import Admin
from miniapp_platform.platform import Platform
from miniapp_platform.script import Call, script_hash

EXPLOIT = "smart-contract-exploit"
PICKED_UP_MAX = timedelta(seconds=3)
"""The promise is one second, of which it takes a fifth; a machine that runs other tests too is slower."""
END_S_MAX = 3.0


def is_paused(platform: Platform) -> bool:
    async def read() -> bool:
        async with platform.client() as client:
            return bool(await client.read(Call(script_hash(platform.contracts.pause_registry), "isPaused", ())))

    return asyncio.run(read())


@pytest.fixture
def resumed_afterwards(platform: Platform) -> Generator[None]:
    """The platform is not paused, neither before nor after the test."""
    assert not is_paused(platform)
    yield

    async def resume() -> None:
        async with platform.client() as client:
            await Admin(platform, client).resume_all()

    if is_paused(platform):
        asyncio.run(resume())


@pytest.mark.usefixtures("resumed_afterwards")
def test_an_exploit_is_handled_by_command_lines_from_the_declaration_to_the_review(installation: Installation) -> None:
    installation.accept()
    with installation.serving() as serving:
        declared = installation.done("declare", EXPLOIT, "--reason", "funds are leaving")
        incident = declared["incident"]
        assert declared == {"incident": incident, "created": True}

        # The plan waits for a person, and nothing is paused before one approved it.
        approve = installation.until_waiting(incident, "approve")
        assert not is_paused(installation.platform)
        timeline = installation.done("incident", incident)["timeline"]
        first, reaction = timeline[0], next(entry for entry in timeline if entry["by"] == "tocsin")
        assert datetime.fromisoformat(reaction["at"]) - datetime.fromisoformat(first["at"]) < PICKED_UP_MAX

        installation.done("ack", incident, "--as", "bob")
        assert approve["command"].startswith(f"tocsin approve {approve['run']} --plan {approve['plan_hash'][:12]} ")
        assert approve["call"] == {
            "contract": installation.platform.contracts.pause_registry,
            "method": "pauseAll",
            "arguments": [f"{incident}: Smart Contract Exploit"],
        }
        shown = f'{approve["call"]["contract"]} pauseAll("{incident}: Smart Contract Exploit")'
        assert f"exactly: {shown}\n" in installation.run("next", incident).out
        another = installation.refused("approve", approve["run"], "--plan", "0" * 12)
        assert another["code"] == "approval-of-another-plan"
        for no_plan in (approve["plan_hash"][:7], "no digits"):
            assert installation.refused("approve", approve["run"], "--plan", no_plan)["code"] == "plan-hash-unusable"
        approved = installation.type(approve["command"])  # as shown, by alice of the configuration
        assert approved.code == 0, approved.err
        assert f"exactly: {shown}\n" in approved.out
        pause = installation.until_step(incident, 1, "done")
        assert is_paused(installation.platform)
        (run,) = pause["runs"]
        assert run["id"] == approve["run"]
        assert run["status"] == "verified"
        assert run["tx"].startswith("0x")
        assert run["quorum"]["confirmed"] >= run["quorum"]["needed"] == 2
        assert "now refused" in run["effect_probe"]

        # An approval counts once, and no longer applies.
        assert installation.refused("approve", run["id"], "--as", "bob")["code"] == "does-not-apply"

        while (waiting := installation.waiting(incident)) and waiting[0]["kind"] == "tick" and waiting[0]["step"] == 2:
            ticked = installation.type(waiting[0]["command"])
            assert ticked.code == 0, ticked.err
        assert installation.until_step(incident, 2, "done")["items"][0]["ticked_by"] == "alice"

        early = installation.refused("step", "run", incident, 4)
        assert "--reason" in early["message"]
        installation.done("step", "run", incident, 4, "--reason", "the patch is ready already")
        installation.until_step(incident, 4, "active")
        installation.done("step", "tick", incident, 4, 0, "version 1.0.1 is deployed", "--as", "carol")
        assert installation.step(incident, 4)["items"][0]["ticked_by"] == "carol"

        assert "not every step is finished" in installation.refused("resolve", incident)["message"]
        for number in (3, 4):
            installation.done("step", "skip", incident, number, "--reason", "no damage was done")
        resolve = installation.until_waiting(incident, "resolve")
        resolved = installation.type(resolve["command"])
        assert resolved.code == 0, resolved.err
        assert installation.done("incident", incident)["state"] == "resolved"
        assert installation.done("next") == []

        installation.done("reopen", incident, "--reason", "it goes on")
        assert installation.done("incident", incident)["state"] != "resolved"
        installation.done("resolve", incident, "--reason", "it did not")

        code, out, took = serving.end(signal.SIGTERM)
    assert (code, json.loads(out)) == (0, {"ended": True})
    assert took < END_S_MAX


@pytest.mark.usefixtures("resumed_afterwards")
def test_an_open_incident_goes_on_after_a_restart(installation: Installation) -> None:
    installation.accept()
    with installation.serving() as serving:
        incident = installation.done("declare", EXPLOIT, "--reason", "funds are leaving")["incident"]
        approve = installation.until_waiting(incident, "approve")
        code, _, took = serving.end()
        assert code == 0
        assert took < END_S_MAX
    installation.done("approve", approve["run"])  # nobody is there to carry it out
    assert not is_paused(installation.platform)
    with installation.serving():
        pause = installation.until_step(incident, 1, "done")
    assert [run["status"] for run in pause["runs"]] == ["verified"]
    assert is_paused(installation.platform)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_in_good_order_when_it_is_told_to(installation: Installation, number: signal.Signals) -> None:
    with installation.serving() as serving:
        code, out, took = serving.end(number)
    said = "".join(serving.said)
    assert (code, json.loads(out)) == (0, {"ended": True})
    assert took < END_S_MAX
    assert "No incident can be declared" in said, "no runbook is accepted"
    assert said.endswith("Ended. Open incidents go on when it is started again.\n")
    assert "Traceback" not in said


def test_a_second_service_on_the_same_state_is_refused(installation: Installation) -> None:
    with installation.serving():
        second = run_process("serve", "--json", "-c", installation.configuration)
    assert second.code == 3
    assert second.error["code"] == "state-in-use"


def test_commands_that_only_a_person_can_do_are_reported_by_hand(installation: Installation) -> None:
    installation.accept()
    with installation.serving():
        incident = installation.done("declare", "tee-service-failure", "--reason", "attestation fails")["incident"]
        first = installation.until_waiting(incident, "do")
        done = installation.type(first["command"])
        assert done.code == 0, done.err
        # This platform has no address for the second command, so people look there in their own way.
        second = installation.until_waiting(incident, "decide")
        assert (first["choice"], second["choice"]) == (0, 1)
        installation.done("step", "done", incident, 1, "it answers", "--choice", 1)
        installation.until_step(incident, 1, "done")

        # "(if available)" is a question to the commander; no skips the step.
        installation.until_waiting(incident, "answer")
        installation.done("step", "answer", incident, 2, "no", "--reason", "there is no fallback")
        installation.until_step(incident, 2, "skipped")
        assert "has no condition" in installation.refused("step", "answer", incident, 3, "yes")["message"]


def test_people_direct_an_incident_without_any_service_running(installation: Installation) -> None:
    installation.accept()
    incident = installation.done("declare", "1", "--reason", "a guess", "--severity", "P1")["incident"]
    installation.done("note", incident, "looks like [a test]")
    installation.done("severity", incident, "P0", "--reason", "it is bigger")
    installation.done("role", incident, "ic", "bob")
    installation.done("status", incident, "investigating", "--reason", "we look")
    shown = installation.done("incident", incident)
    assert (shown["severity"], shown["state"], shown["roles"]) == ("P0", "investigating", {"IC": "bob"})
    (listed,) = installation.done("incidents")
    assert (listed["id"], listed["emergency"]) == (incident, EXPLOIT)

    assert installation.refused("note", incident, "all clear", "--as", "tocsin")["code"] == "principal-unknown"
    assert "has no role" in installation.refused("role", incident, "cook", "bob")["message"]
    assert installation.refused("note", incident, " ")["code"] == "does-not-apply"

    without = installation.run("close", incident, "--reason", "nothing happened", "--json")
    assert (without.code, without.error["code"]) == (2, "usage")
    assert "--false-alarm" in without.err
    installation.done("close", incident, "--false-alarm", "--reason", "nothing happened")
    assert installation.done("incident", incident)["state"] == "false_alarm"
    assert "reopen" in installation.refused("ack", incident)["message"]


def test_the_views_tell_people_what_they_need(installation: Installation) -> None:
    assert installation.run("incidents").out == "There are no incidents.\n"
    assert installation.run("next").out == "Nothing is waiting for you.\n"
    installation.accept()
    declared = installation.run("declare", EXPLOIT, "--reason", "a [bold] guess")
    (listed,) = installation.done("incidents")
    incident = listed["id"]
    assert declared.out == f"{incident} is declared. Next: tocsin next {incident} -c {installation.configuration}\n"

    table = installation.run("incidents").out
    assert incident in table
    assert max(len(line) for line in table.splitlines()) <= 80

    shown = installation.run("incident", incident).out
    assert "Pause Contracts (budget 5 min)" in shown
    assert "☐ 0 Review recent transactions" in shown, "with the number to tick it by"
    assert "Declared P0 Smart Contract Exploit: a [bold] guess" in shown

    waiting = installation.run("next", incident).out
    assert "Acknowledge P0 Smart Contract Exploit. Due in 5 min." in waiting
    assert f"\n     tocsin ack {incident} -c {installation.configuration}\n" in waiting

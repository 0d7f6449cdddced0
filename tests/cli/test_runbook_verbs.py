"""`tocsin runbook` and `tocsin dry-run`: the document as compiled, its acceptance, and its preflights."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import RUNBOOK
from cli.installation import Installation, run
from miniapp_platform.platform import Platform

EXPLOIT = "smart-contract-exploit"
PAUSE_ALL = "<pause_registry_hash> pauseAll <emergency_reason>"


def command_objects(document: Any) -> Iterator[dict[str, Any]]:
    """Every object with a key `command`, wherever it stands."""
    if isinstance(document, dict):
        if "command" in document:
            yield document
        for value in document.values():
            yield from command_objects(value)
    elif isinstance(document, list):
        for value in document:
            yield from command_objects(value)


def operator_transactions(platform: Platform) -> list[str]:
    """Every transaction of the pause key on the whole chain."""

    async def read() -> list[str]:
        async with platform.client() as client:
            operator = platform.accounts.operator.script_hash
            heights = range(await client.height() + 1)
            return [str(tx) for height in heights for tx in await client.transactions_of(operator, height)]

    return asyncio.run(read())


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The runbook with a parameter too many in the command that pauses everything."""
    text = RUNBOOK.read_text(encoding="utf-8")
    assert text.count(PAUSE_ALL) == 1
    path = tmp_path / "broken.md"
    path.write_text(text.replace(PAUSE_ALL, f"{PAUSE_ALL} everything"), encoding="utf-8")
    return path


def test_the_whole_runbook_is_shown(installation: Installation) -> None:
    shown = installation.run("runbook", "show")
    assert shown.code == 0
    for words in (
        "Smart Contract Exploit",
        "Payment Hub Disruption",
        "(budget 5 min)",
        "Recovery checklist",
        "Contacts",
    ):
        assert words in shown.out
    assert installation.run("runbook", "show", "--file", RUNBOOK).out == shown.out


def test_every_command_of_the_document_is_in_its_json(installation: Installation) -> None:
    commands = list(command_objects(installation.done("runbook", "show")))
    assert commands
    for command in commands:
        assert bool(command.get("action")) != bool(command.get("manual")), command
        assert "\n" not in command["command"]
    programs = {match[0] for command in commands if (match := re.match(r"\S+", command["command"]))}
    assert {"neo-go", "curl", "kubectl", "psql", "export"} <= programs


@pytest.mark.parametrize("name", [EXPLOIT, "1", "Smart Contract Exploit"])
def test_one_emergency_is_shown_by_slug_number_or_title(installation: Installation, name: str) -> None:
    shown = installation.run("runbook", "show", name)
    assert "Pause Contracts" in shown.out
    assert "RPC Node Failure" not in shown.out
    assert installation.done("runbook", "show", name)["slug"] == EXPLOIT


def test_an_unknown_emergency_is_refused_with_those_there_are(installation: Installation) -> None:
    assert EXPLOIT in installation.refused("runbook", "show", "flood")["next_step"]
    assert installation.refused("dry-run", "flood")["code"] == "emergency-unknown"


def test_a_foreign_document_is_told_with_its_line_and_column(tmp_path: Path) -> None:
    foreign = tmp_path / "recipe.md"
    foreign.write_text("# Apple pie\n\nTake apples.\n", encoding="utf-8")
    told = run("runbook", "show", "--file", foreign, "--json")
    assert told.code == 2
    assert re.search(rf"{re.escape(str(foreign))}:\d+:\d+: ", told.error["message"])
    binary = tmp_path / "binary.md"
    binary.write_bytes(b"\xff\xfe\x00")
    assert run("runbook", "show", "--file", binary, "--json").code == 2
    missing = run("runbook", "show", "--file", tmp_path / "none.md", "--json")
    assert (missing.code, missing.error["code"]) == (2, "runbook-unreadable")


def test_a_runbook_stays_inert_until_two_people_accepted_it(installation: Installation) -> None:
    first = installation.run("runbook", "accept")
    assert "accepted by alice (1 of 2)" in first.out
    assert "another person" in first.out
    again = installation.done("runbook", "accept")
    assert (again["accepted_by"], again["complete"]) == (["alice"], False), "nobody counts twice"
    assert installation.refused("declare", EXPLOIT, "--reason", "x")["code"] == "no-runbook-accepted"
    second = installation.done("runbook", "accept", "--as", "bob")
    assert (second["accepted_by"], second["needed"], second["complete"]) == (["alice", "bob"], 2, True)
    installation.done("declare", EXPLOIT, "--reason", "x")


def test_a_changed_action_needs_two_people_again(installation: Installation, broken: Path) -> None:
    installation.accept()
    changed = installation.done("runbook", "accept", "--file", broken)
    assert (changed["needed"], changed["complete"]) == (2, False)


def test_a_dry_run_of_the_real_runbook_finds_it_ready(installation: Installation) -> None:
    before = operator_transactions(installation.platform)
    tried = installation.run("dry-run", EXPLOIT)
    assert tried.code == 0, tried.out
    assert tried.out.count("ready ") == 2
    assert "nothing was changed" in tried.out
    document = installation.done("dry-run", EXPLOIT)
    assert (document["emergency"], document["passed"]) == (EXPLOIT, True)
    assert all(command["plan"] for command in document["commands"])
    assert operator_transactions(installation.platform) == before
    assert not installation.state.exists(), "a dry run needs no database"


def test_a_dry_run_refuses_wrong_parameters_with_file_and_line_before_anything_is_sent(
    installation: Installation, broken: Path
) -> None:
    before = operator_transactions(installation.platform)
    line = 1 + broken.read_text(encoding="utf-8").splitlines().index(
        "    neo-go contract invokefunction -w <wallet> -r <rpc> \\"
    )
    tried = installation.run("dry-run", EXPLOIT, "--file", broken)
    assert tried.code == 3
    assert f"{broken}:{line}" in tried.out
    assert "pauseAll" in tried.out
    told = installation.run("dry-run", EXPLOIT, "--file", broken, "--json")
    assert told.code == 3
    assert not told.document["passed"]
    refused = [command for command in told.document["commands"] if command["error"]]
    assert [(command["file"], command["line"]) for command in refused] == [(str(broken), line)]
    assert operator_transactions(installation.platform) == before


def test_a_dry_run_tells_of_commands_that_only_a_person_can_do(installation: Installation) -> None:
    tried = installation.run("dry-run", "database-connection-issues")
    assert tried.code == 0
    assert "by hand" in tried.out

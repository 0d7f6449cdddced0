"""`tocsin resume`: nothing is lifted without the whole checklist, two people, and the admin's signers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.installation import Installation
from cli.pauses import WHY, lifted
from miniapp_platform.deploy import VULNERABLE_APP_ID

__all__ = ["lifted"]

FIXED = ("--reason", "the flaw is closed")
CHECKLIST = tuple(part for number in range(1, 7) for part in ("--confirm", number))


@pytest.fixture
def request_file(installation: Installation, tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    installation.done("resume", "--all", *FIXED, *CHECKLIST, "--as", "alice", "-o", file)
    return file


@pytest.mark.parametrize(
    ("target", "name"), [(("--all",), "all"), (("--app", VULNERABLE_APP_ID), f"app:{VULNERABLE_APP_ID}")]
)
def test_two_people_and_two_signers_lift_a_pause(
    installation: Installation, tmp_path: Path, target: tuple[str, ...], name: str
) -> None:
    installation.done("pause", *target, *WHY)
    asked, transaction = tmp_path / "request.json", tmp_path / "tx.json"
    installation.done("resume", *target, *FIXED, *CHECKLIST, "--as", "alice", "-o", asked)
    outcome = installation.run("resume", "--approve", asked, "--as", "bob", "--yes", "-o", transaction, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["approved_by"] == ["alice", "bob"]
    assert f"alice asks to resume {name}" in outcome.err
    assert "1. Root cause identified: confirmed" in outcome.err
    installation.done("tx", "sign", transaction, "--as", "guardian-1", "--yes")
    installation.done("tx", "sign", transaction, "--as", "guardian-2", "--yes")
    installation.done("tx", "send", transaction)
    assert installation.done("pause", *target, *WHY, "--dry-run")["outcome"] == "would-pause"


def test_an_open_item_of_the_checklist_is_named(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    error = installation.refused("resume", "--all", *FIXED, *CHECKLIST[:-2], "--as", "alice", "-o", file)
    assert error["code"] == "checklist-open"
    assert "6. Post-incident review scheduled" in error["message"]
    assert "Root cause" not in error["message"]
    assert not file.exists()


def test_a_number_without_an_item_is_refused(installation: Installation) -> None:
    error = installation.refused("resume", "--all", *FIXED, *CHECKLIST, "--confirm", 7, "--as", "alice")
    assert error["code"] == "no-such-item"


def approve(installation: Installation, file: Path, person: str) -> Any:
    return installation.refused("resume", "--approve", file, "--as", person, "--yes", "-o", file.with_name("tx.json"))


def test_nobody_approves_their_own_request(installation: Installation, request_file: Path) -> None:
    assert approve(installation, request_file, "alice")["code"] == "second-person-needed"
    assert not request_file.with_name("tx.json").exists()


def test_without_a_terminal_the_consent_must_be_said(installation: Installation, request_file: Path) -> None:
    error = installation.refused("resume", "--approve", request_file, "--as", "bob")
    assert error["code"] == "not-confirmed"


def set_in(name: str, value: object) -> Callable[[Any], None]:
    def how(content: Any) -> None:
        content["request"][name] = value

    return how


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (set_in("call", "PauseRegistry.setAdmin(me)"), "request-differs"),
        (set_in("checklist", ["all is well"]), "request-differs"),
        (set_in("runbook_hash", "0" * 64), "request-differs"),
        (set_in("target", {"app": VULNERABLE_APP_ID}), "request-differs"),
        (set_in("reason", "another"), "approval-expired"),
        (set_in("asked_by", "bob"), "approval-expired"),
        (set_in("approvals", []), "approval-expired"),
        (lambda content: content["request"]["approvals"][0].update(principal="carol"), "approval-expired"),
        (lambda content: content.pop("format"), "request-unreadable"),
        (lambda content: content["request"].pop("call"), "request-unreadable"),
    ],
)
def test_a_request_that_was_tampered_with(
    installation: Installation, request_file: Path, how: Callable[[Any], object], code: str
) -> None:
    content = json.loads(request_file.read_text())
    how(content)
    request_file.write_text(json.dumps(content))
    assert approve(installation, request_file, "bob")["code"] == code
    assert not request_file.with_name("tx.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [*FIXED],
        ["--all"],
        ["--all", "--app", VULNERABLE_APP_ID, *FIXED],
        ["--approve", "file", "--all"],
        ["--approve", "file", *FIXED],
    ],
)
def test_what_makes_no_sense_is_told(installation: Installation, arguments: list[str]) -> None:
    outcome = installation.run("resume", *arguments, "--json")
    assert outcome.code == 2
    assert outcome.error["code"] == "usage"

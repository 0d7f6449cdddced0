"""What a script relies on: one JSON document on standard output, errors too, and exit codes that say what happened."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.installation import Installation, run, run_process
from tocsin import __version__
from tocsin.cli.output import exit_code
from tocsin.domain.errors import (
    ConfigurationInvalid,
    Failed,
    NeedsOperator,
    OutcomeUnknown,
    Partial,
    Refused,
    TocsinError,
    Unavailable,
)

COMMANDS = [
    "init",
    "serve",
    "demo",
    "drill",
    "runbook",
    "dry-run",
    "declare",
    "incidents",
    "incident",
    "next",
    "ack",
    "approve",
    "note",
    "severity",
    "role",
    "status",
    "step",
    "close",
    "resolve",
    "reopen",
]


def test_help_names_every_command_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    helped = run("--help")
    assert helped.code == 0
    for command in COMMANDS:
        assert f"│ {command} " in helped.out
    assert max(len(line) for line in helped.out.splitlines()) <= 80
    assert run("--version").out.strip() == __version__


@pytest.mark.parametrize("command", [*COMMANDS, "runbook show", "runbook accept", "step run", "step skip", "step tick"])
def test_every_command_explains_itself(command: str) -> None:
    helped = run(*command.split(), "--help")
    assert helped.code == 0
    assert "Usage: tocsin" in helped.out
    if command not in {"runbook", "step"}:
        assert "--json" in helped.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["declrae"], 'Did you mean "declare"?'),
        (["ack"], "INCIDENT"),
        (["ack", "INC-2026-0001", "--loudly"], "--loudly"),
        (["severity", "INC-2026-0001", "P9", "--reason", "x"], "P9"),
        (["step", "tick", "INC-2026-0001", "two", "0"], "two"),
        (["step", "skip", "INC-2026-0001", "2"], "--reason"),
        (["close", "INC-2026-0001", "--reason", "x"], "--false-alarm"),
        (["drill", "flood"], "smart-contract-exploit"),
        (["drill", "smart-contract-exploit", "--block-ms", "5"], ">= 20"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_usage(arguments: list[str], says: str) -> None:
    plain = run(*arguments)
    assert (plain.code, plain.out) == (2, "")
    assert says in plain.err
    assert "--help" in plain.err
    told = run(*arguments, "--json")
    assert told.code == 2
    assert (told.error["kind"], told.error["code"]) == ("configuration", "usage")
    assert says in told.error["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationInvalid("x", "x"), 2),
        (Refused("x", "x"), 3),
        (Unavailable("x", "x"), 3),
        (OutcomeUnknown("x", "x"), 4),
        (Partial("x", "x"), 4),
        (NeedsOperator("x", "x"), 4),
        (OutcomeUnknown("unconfirmed", "x"), 5),
        (Failed("x", "x"), 1),
    ],
)
def test_exit_codes_say_whether_anything_changed(error: TocsinError, code: int) -> None:
    assert exit_code(error) == code


def test_python_m_tocsin_is_the_same_command_line(tmp_path: Path) -> None:
    told = run_process("incidents", "--json", "-c", tmp_path / "none.toml")
    assert told.code == 2
    assert told.error["code"] == "no-configuration"


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = [sys.executable, "-m", "tocsin", "runbook", "show", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")


def test_who_acts_is_named_by_option_environment_or_configuration(
    install: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = install()
    installation.accept()
    incident = installation.done("declare", "1", "--reason", "x")["incident"]
    assert installation.done("note", incident, "by the configuration's")["principal"] == "alice"
    monkeypatch.setenv("TOCSIN_PRINCIPAL", "bob")
    assert installation.done("note", incident, "by the environment's")["principal"] == "bob"
    assert installation.done("note", incident, "by the option's", "--as", "carol")["principal"] == "carol"
    monkeypatch.delenv("TOCSIN_PRINCIPAL")

    nobody = install(principal=('principal = "alice"\n', ""))
    told = nobody.run("ack", incident, "--json")
    assert (told.code, told.error["code"]) == (2, "nobody-acts")
    assert "--as NAME" in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ack", "INC-2026-0001"],
        ["approve", "INC-2026-0001/1.0.1"],
        ["declare", "1", "--reason", "x"],
        ["runbook", "accept"],
    ],
)
def test_a_stranger_is_refused_by_name(installation: Installation, arguments: list[str]) -> None:
    error = installation.refused(*arguments, "--as", "mallory")
    assert error["code"] == "principal-unknown"
    assert "'mallory'" in error["message"]
    assert "alice, bob, carol" in error["next_step"]


def test_what_is_not_there_is_refused_with_where_to_look(installation: Installation) -> None:
    assert installation.refused("incident", "INC-1999-0001")["next_step"] == "`tocsin incidents` lists them"
    assert installation.refused("next", "INC-1999-0001")["code"] == "incident-unknown"
    assert "runbook accept" in installation.refused("declare", "1", "--reason", "x")["next_step"]
    installation.accept()
    error = installation.refused("declare", "flood", "--reason", "x")
    assert error["code"] == "emergency-unknown"
    assert "smart-contract-exploit" in error["next_step"]
    incident = installation.done("declare", "1", "--reason", "x")["incident"]
    assert installation.refused("approve", f"{incident}/1.0.1")["code"] == "nothing-to-approve"
    assert "steps 1 to 4" in installation.refused("step", "skip", incident, 9, "--reason", "x")["message"]

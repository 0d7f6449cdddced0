"""Somebody was woken up and waits for the prompt: no command pays for what it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import RUNBOOK
from cli.installation import Installation

ENGINES = {"dbos", "alembic", "neo3", "miniapp_platform", "cel_expr_python", "aiohttp"}
STORE = {"sqlalchemy", "aiosqlite"}
CLIENTS = {"httpx2", "websockets"}


def imported(*arguments: object) -> set[str]:
    """The top-level packages that a command imports, in a process of its own."""
    command = [sys.executable, "-X", "importtime", "-m", "tocsin", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_help_imports_next_to_nothing() -> None:
    packages = imported("--help")
    assert "cyclopts" in packages
    assert not packages & (ENGINES | STORE | CLIENTS | {"pydantic", "structlog"})


def test_showing_the_runbook_imports_neither_store_nor_chain() -> None:
    assert not imported("runbook", "show", "--file", RUNBOOK) & (ENGINES | STORE | CLIENTS)


def test_init_imports_neither_store_nor_chain(tmp_path: Path) -> None:
    assert not imported("init", tmp_path / "tocsin.toml") & (ENGINES | STORE | CLIENTS)


@pytest.mark.parametrize("command", [["next"], ["incident", "{}"], ["ack", "{}"]])
def test_the_verbs_of_an_incident_import_neither_engine_nor_chain(
    installation: Installation, command: list[str]
) -> None:
    installation.accept()
    incident = installation.done("declare", "1", "--reason", "x")["incident"]
    arguments = [argument.format(incident) for argument in command]
    packages = imported(*arguments, "-c", installation.configuration)
    assert "sqlalchemy" in packages
    assert not packages & (ENGINES | CLIENTS)

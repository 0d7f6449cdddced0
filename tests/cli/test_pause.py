"""`tocsin pause`, on a real chain whose nodes are killed and frozen: it stops what it says, and says what it knows."""

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.installation import WAIT_S_MAX, Installation, run
from cli.pauses import PAUSE_KEY, WHY, Install, lifted, refused, written
from miniapp_platform.admin import Admin
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.node import Node
from miniapp_platform.platform import Platform
from tocsin.connect.outbox_file import OUTBOX_FILE, outbox_folders

__all__ = ["lifted"]

CRASH_CHILD = Path(__file__).with_name("pause_crash_child.py")
ACCEPTED_S_MAX = 6.0
"""Twice what one live node of three may take, for a machine that runs other tests too."""


def is_paused(installation: Installation, *target: str) -> bool:
    """Whether a quorum says that the target is paused."""
    wanted = target or ("--all",)
    return installation.done("pause", *wanted, *WHY, "--dry-run")["outcome"] == "already-paused"


@contextmanager
def broken(killed: Sequence[Node], frozen: Sequence[Node]) -> Generator[None]:
    for node in killed:
        node.kill()
    for node in frozen:
        node.freeze()
    yield


# Everything is up


def test_everything_is_paused_and_a_quorum_and_users_confirm_it(installation: Installation) -> None:
    outcome = installation.run("pause", "--all", *WHY, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["outcome"] == "paused"
    assert document["quorum"]["confirmed"] >= document["quorum"]["needed"] == 2
    assert "worked before, now refused" in document["effect_probe"]
    assert document["by"] == "alice"
    assert document["next"]
    going, accepted = outcome.err.splitlines()
    assert going == "Going to pause everything: PauseRegistry.pauseAll(funds are leaving)"
    assert accepted.startswith(f"Accepted: transaction {document['tx']}")
    (put,) = written(installation)
    assert put["tx"] == document["tx"]
    assert put["about"]["reason"] == "funds are leaving"
    assert stat.S_IMODE((installation.state / OUTBOX_FILE).stat().st_mode) == 0o600


def test_people_read_what_changed_and_what_to_do_next(installation: Installation) -> None:
    outcome = installation.run("pause", "--all", *WHY)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("Paused: everything is paused at height")
    assert "  next    tell the team and the users" in outcome.out


def test_one_app_is_paused_and_the_others_are_not(installation: Installation) -> None:
    document = installation.done("pause", "--app", VULNERABLE_APP_ID, *WHY)
    assert document["outcome"] == "paused"
    assert document["stops"] == f"the app {VULNERABLE_APP_ID}"
    assert is_paused(installation, "--app", VULNERABLE_APP_ID)
    assert not is_paused(installation)


def test_paused_already_sends_nothing(installation: Installation) -> None:
    first = installation.done("pause", "--all", *WHY)
    again = installation.done("pause", "--all", *WHY)
    assert again["outcome"] == "already-paused"
    assert again["tx"] is None
    assert [put["tx"] for put in written(installation)] == [first["tx"]]


async def test_a_pause_after_a_resumption_is_a_new_transaction(installation: Installation, platform: Platform) -> None:
    first = await asyncio.to_thread(installation.done, "pause", "--all", *WHY)
    async with platform.client() as client:
        await Admin(platform, client).resume_all()
    second = await asyncio.to_thread(installation.done, "pause", "--all", *WHY)
    assert second["outcome"] == "paused"
    assert second["tx"] != first["tx"]


def test_a_dry_run_says_what_it_would_do_and_leaves_no_file(installation: Installation) -> None:
    document = installation.done("pause", "--all", *WHY, "--dry-run")
    assert document["outcome"] == "would-pause"
    assert document["summary"] == "would pause everything: PauseRegistry.pauseAll(funds are leaving)"
    assert not installation.state.exists()
    assert not is_paused(installation)


def test_it_imports_neither_store_nor_engine_nor_runbook(installation: Installation) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tocsin", "pause", "--all", *WHY, "--dry-run", "--json"]
    done = subprocess.run(
        [*command, "-c", str(installation.configuration)],
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S_MAX,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert {"tocsin", "httpx2", "neo3"} <= packages
    needless = {"dbos", "sqlalchemy", "aiosqlite", "alembic", "cel_expr_python", "markdown_it", "structlog"}
    assert not packages & (needless | {"rich", "jsonschema", "aiohttp"})


# Nodes are down


def start(installation: Installation, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tocsin", "pause", *arguments, "--json", "-c", str(installation.configuration)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def accepted_s(process: subprocess.Popen[str]) -> float:
    """Seconds until it says that the transaction is accepted."""
    assert process.stderr is not None
    began = time.monotonic()
    for line in process.stderr:
        if line.startswith("Accepted: "):
            return time.monotonic() - began
    raise AssertionError("it was not accepted")


def test_with_one_live_node_of_three_it_is_sent_unconfirmed_and_holds_when_the_others_are_back(
    installation: Installation, platform: Platform
) -> None:
    down, halted = platform.node("follower-1"), platform.node("follower-2")
    with broken([down], [halted]):
        process = start(installation, "--all", *WHY)
        took = accepted_s(process)
        out, err = process.communicate(timeout=WAIT_S_MAX)
    assert process.returncode == 5, (out, err)
    assert took < ACCEPTED_S_MAX
    document = json.loads(out)
    assert document["outcome"] == "unconfirmed"
    assert document["summary"] == "sent, unconfirmed (1 of 2)"
    assert document["quorum"] == {"needed": 2, "confirmed": 1, "of": 3}
    assert any("follower-1" in doubt and "follower-2" in doubt for doubt in document["doubts"])
    halted.thaw()
    assert installation.until(lambda: True if is_paused(installation) else None)
    assert [put["tx"] for put in written(installation)] == [document["tx"]]


def test_when_no_node_answers_nothing_is_sent_and_that_is_said(installation: Installation, platform: Platform) -> None:
    with broken([], platform.nodes):
        outcome = installation.run("pause", "--all", *WHY, "--json")
    assert outcome.code == 3
    assert outcome.error["kind"] == "unavailable"
    assert all(node.name in outcome.err for node in platform.nodes)
    assert written(installation) == []


def test_killed_between_outbox_and_broadcast_the_next_run_sends_the_same_bytes(installation: Installation) -> None:
    child = [sys.executable, str(CRASH_CHILD), str(installation.configuration)]
    assert subprocess.run(child, capture_output=True, check=False, timeout=WAIT_S_MAX).returncode == -signal.SIGKILL
    (put,) = written(installation)
    assert not is_paused(installation)
    document = installation.done("pause", "--all", "--reason", "the second try")
    assert document["outcome"] == "paused"
    assert document["tx"] == put["tx"]
    assert "carol had signed it" in document["joined"]
    assert "the first try" in document["joined"]
    assert len(written(installation)) == 1


def test_two_at_once_have_one_effect_and_both_say_the_truth(installation: Installation) -> None:
    started = [start(installation, "--all", "--reason", reason) for reason in ("the one", "the other")]
    documents: list[Mapping[str, Any]] = []
    for process in started:
        out, err = process.communicate(timeout=WAIT_S_MAX)
        assert process.returncode == 0, (out, err)
        documents.append(json.loads(out))
    (put,) = written(installation)
    assert {document["outcome"] for document in documents} <= {"paused", "already-paused"}
    assert {document["tx"] for document in documents} <= {put["tx"], None}
    paused = [document for document in documents if document["outcome"] == "paused"]
    assert len([document for document in paused if document["joined"] is None]) == 1


# What is refused


def test_a_wrong_password(install: Install, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not this one")
    wrong = PAUSE_KEY.replace('"password"', json.dumps(str(tmp_path / "wrong")))
    assert refused(install(key=(PAUSE_KEY, wrong)), "--all", *WHY)["code"] == "wallet-locked"


def test_a_key_for_another_purpose(install: Install) -> None:
    other = PAUSE_KEY.replace("keys.pause", "keys.invoke")
    assert refused(install(key=(PAUSE_KEY, other)), "--all", *WHY)["code"] == "key-missing"


def test_a_key_that_may_not_pause_is_refused_and_by_force_fails_on_the_chain(install: Install) -> None:
    installation = install(key=(PAUSE_KEY, PAUSE_KEY.replace("operator", "payer-1")))
    error = refused(installation, "--all", *WHY)
    assert error["code"] == "test-invocation-faulted"
    assert "--force" in error["next_step"]
    outcome = installation.run("pause", "--all", *WHY, "--force", "--json")
    assert outcome.code == 1
    assert outcome.error["code"] == "call-faulted"
    assert "by force" in outcome.err
    assert len(written(installation)) == 1


def test_an_unknown_app(installation: Installation) -> None:
    error = refused(installation, "--app", f"{VULNERABLE_APP_ID}s", *WHY)
    assert error["code"] == "app-unknown"
    assert VULNERABLE_APP_ID in error["next_step"]


def test_an_unclear_binding(install: Install) -> None:
    installation = install(scope=('scope = "all"\n', ""))
    outcome = installation.run("pause", "--all", *WHY, "--json")
    assert outcome.code == 2
    assert outcome.error["code"] == "pause-binding-unclear"
    assert "'payments'" in outcome.error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        [*WHY],
        ["--all"],
        ["--all", "--reason", " "],
        ["--all", "--reason", "x" * 257],
        ["--all", "--app", VULNERABLE_APP_ID, *WHY],
        ["--all", *WHY, "--windows", "2"],
        ["--offline-bundle", "file", "--windows", "0"],
        ["--offline-bundle", "file", "--dry-run"],
        ["--offline-bundle", "file", "--send", "file"],
        ["--send", "file", *WHY],
        ["--send", "file", "--force"],
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_read(arguments: list[str]) -> None:
    outcome = run("pause", *arguments, "--json", "-c", "/nowhere/tocsin.toml")
    assert outcome.code == 2
    assert outcome.error["code"] == "usage"


def test_where_the_state_folder_can_not_be_used_another_is_and_that_is_said(installation: Installation) -> None:
    installation.state.write_text("a file in its place")
    outcome = installation.run("pause", "--all", *WHY, "--json")
    assert outcome.code == 0, outcome.err
    kept = Path(outcome.document["outbox"])
    assert kept.parent == outbox_folders(installation.state)[1]
    assert f"{installation.state} can't be used; what is sent is kept in {kept}" in outcome.err
    kept.unlink()
    kept.parent.rmdir()


def test_the_state_folder_can_be_named(installation: Installation, tmp_path: Path) -> None:
    document = installation.done("pause", "--all", *WHY, "--state", tmp_path / "stick")
    assert document["outbox"] == str(tmp_path / "stick" / OUTBOX_FILE)
    assert not installation.state.exists()


# The server is back


def notes(installation: Installation, count: int = 1) -> Mapping[str, Sequence[str]] | None:
    """The notes of break glass by incident, once there are so many."""
    found: dict[str, Sequence[str]] = {}
    for incident in installation.done("incidents"):
        texts = [entry["text"] for entry in installation.done("incident", incident["id"])["timeline"]]
        found[incident["id"]] = [text for text in texts if text.startswith("Note: Break glass")]
    return found if sum(map(len, found.values())) >= count else None


async def test_the_server_takes_each_pause_into_the_timeline_once(
    installation: Installation, platform: Platform
) -> None:
    await asyncio.to_thread(installation.accept)
    first = await asyncio.to_thread(installation.done, "pause", "--all", *WHY)
    with installation.serving():
        told = await asyncio.to_thread(installation.until, lambda: notes(installation))
    ((incident, (sentence,)),) = told.items()
    assert f"alice sent {first['tx']}" in sentence
    assert "to pause all (funds are leaving): in block" in sentence
    assert sentence.endswith("the pause holds")
    async with platform.client() as client:
        await Admin(platform, client).resume_all()
    second = await asyncio.to_thread(installation.done, "pause", "--app", VULNERABLE_APP_ID, *WHY)
    with installation.serving():
        told_again = await asyncio.to_thread(installation.until, lambda: notes(installation, 2))
    ((joined, sentences),) = told_again.items()
    assert joined == incident
    assert sentences[0] == sentence
    assert second["tx"] in sentences[1]
    summary = await asyncio.to_thread(installation.done, "incident", incident)
    assert summary["emergency"] == "smart-contract-exploit"


def test_the_server_brings_what_was_signed_and_never_sent_to_the_chain(installation: Installation) -> None:
    installation.accept()
    child = [sys.executable, str(CRASH_CHILD), str(installation.configuration)]
    assert subprocess.run(child, capture_output=True, check=False, timeout=WAIT_S_MAX).returncode == -signal.SIGKILL
    with installation.serving():
        told = installation.until(lambda: notes(installation))
    ((_, (sentence,)),) = told.items()
    assert f"carol sent {written(installation)[0]['tx']}" in sentence
    assert sentence.endswith("nobody has verified yet that the pause holds")
    assert is_paused(installation)

"""Offline bundles: signed on one machine, sent from another without a key, and believed as far as the bytes go."""

import asyncio
import base64
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.installation import WAIT_S_MAX, Installation
from cli.pauses import PAUSE_KEY, WHY, Install, lifted, refused, written
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.platform import Platform
from tocsin.connect.bundle_file import write_bundle
from tocsin.connect.outbox_file import FileOutbox
from tocsin.domain.bundles import PauseBundle, PauseTarget, SealedPause
from tocsin.domain.clock import SystemClock
from tocsin.platform import open_break_glass
from tocsin.settings import read_settings

__all__ = ["lifted"]

UNKNOWN_MAGIC = 7


@pytest.fixture
def keyless(install: Install) -> Installation:
    """A machine that has endpoints, and no key."""
    refill = '[keys.refill]\nwallet = "wallets/refill.json"\npassword_file = "password"'
    return install(pause=(PAUSE_KEY, ""), refill=(refill, ""))


@pytest.fixture
def bundle(installation: Installation, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    installation.done("pause", "--offline-bundle", path)
    return path


def test_a_bundle_is_sent_from_a_machine_without_keys(keyless: Installation, bundle: Path) -> None:
    document = keyless.done("pause", "--send", bundle)
    assert document["outcome"] == "paused"
    assert document["quorum"]["confirmed"] >= 2
    assert is_paused_without_key(keyless, bundle)
    assert keyless.done("pause", "--send", bundle)["outcome"] == "already-paused"


def test_one_app_is_paused_from_a_bundle(keyless: Installation, bundle: Path) -> None:
    document = keyless.done("pause", "--send", bundle, "--app", VULNERABLE_APP_ID)
    assert document["stops"] == f"the app {VULNERABLE_APP_ID}"
    assert not is_paused_without_key(keyless, bundle)


def is_paused_without_key(keyless: Installation, bundle: Path) -> bool:
    return keyless.done("pause", "--send", bundle, "--dry-run")["outcome"] == "already-paused"


def test_a_bundle_says_who_can_do_what_with_it_until_when(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    outcome = installation.run("pause", "--offline-bundle", path, "--windows", "2")
    assert outcome.code == 0, outcome.err
    until = re.search(r"Whoever holds this file can pause until block (\d+) \(about \S+ \S+ UTC\)", outcome.out)
    assert until is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    assert f"can pause reference platform until block {until[1]}" in content["warning"]
    targets = [(each["target"], each["valid_until_block"]) for each in content["transactions"]]
    assert len(targets) == len(set(targets)) == 6  # everything and two apps, in two windows each
    windows = [(each["valid_from_block"], each["valid_until_block"]) for each in content["transactions"][:2]]
    assert windows[0][1] == windows[1][0]
    assert installation.done("pause", "--all", *WHY, "--dry-run")["outcome"] == "would-pause"


def test_a_bundle_is_not_written_over_another_file(installation: Installation, bundle: Path) -> None:
    before = bundle.read_bytes()
    assert installation.refused("pause", "--offline-bundle", bundle)["code"] == "file-exists"
    assert bundle.read_bytes() == before


def test_only_the_window_of_now_is_sent(installation: Installation, keyless: Installation, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    installation.done("pause", "--offline-bundle", path, "--windows", "2")
    change(path, lambda content: content["transactions"].pop(0))
    assert keyless.refused("pause", "--send", path)["code"] == "bundle-not-yet-valid"


async def test_an_expired_bundle(
    installation: Installation, keyless: Installation, platform: Platform, tmp_path: Path
) -> None:
    settings = read_settings(installation.configuration)
    path = tmp_path / "expired.json"
    async with open_break_glass(settings, FileOutbox(tmp_path / "none"), run="", tell=print) as glass:
        horizon = await glass.presigner.horizon()
        given = await glass.action(glass.sender).bind(glass.ways.arguments(PauseTarget(), "x"))
        until = horizon.height + 1
        entry = await glass.presigner.seal(
            "bundle", [given.call.invocation()], purpose="pause", valid_until_block=until
        )
    sealed = SealedPause(PauseTarget(), "x", "pause everything", entry.tx, entry.raw, 0, until + 10_000)
    bundle = PauseBundle(platform.magic, "x", "alice", SystemClock().now(), horizon.height, horizon.block_ms, (sealed,))
    write_bundle(path, bundle)
    async with platform.client() as client:
        await client.wait_height(until, WAIT_S_MAX)
    error = await asyncio.to_thread(keyless.refused, "pause", "--send", path)
    assert error["code"] == "bundle-expired"
    assert f"expired with block {until}" in error["message"]  # as the bytes say, whatever stands beside them
    assert "make a new bundle" in error["next_step"]


def change(path: Path, how: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def set_in(name: str, value: object, of: int = 0) -> Callable[[Any], None]:
    def how(content: Any) -> None:
        content["transactions"][of][name] = value

    return how


def swap_bytes(content: Any) -> None:
    first, second = content["transactions"][:2]
    first["raw"], second["raw"] = second["raw"], first["raw"]


def flip(position: int) -> Callable[[Any], None]:
    def how(content: Any) -> None:
        raw = bytearray(base64.b64decode(content["transactions"][0]["raw"]))
        raw[position] ^= 1
        content["transactions"][0]["raw"] = base64.b64encode(raw).decode()

    return how


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (set_in("reason", "another reason"), "bytes-do-something-else"),
        (swap_bytes, "bytes-do-something-else"),
        (flip(1), "signature-wrong"),  # the nonce
        (flip(-45), "signature-wrong"),  # the signature
        (flip(-10), "bytes-unusable"),  # the key
        (flip(30), "bytes-unusable"),  # the account
        (set_in("raw", ""), "bytes-unusable"),
        (set_in("raw", base64.b64encode(b"\x00" * 300).decode()), "bytes-unusable"),
        (set_in("raw", "not base64"), "bundle-unreadable"),
        (lambda content: content.pop("network"), "bundle-unreadable"),
        (lambda content: content.update(format="something else"), "bundle-unreadable"),
        (lambda content: content.update(network=UNKNOWN_MAGIC), "bundle-of-another-network"),
        (lambda content: content["transactions"].pop(0), "not-in-bundle"),
    ],
)
def test_a_bundle_that_was_tampered_with(
    keyless: Installation, bundle: Path, how: Callable[[Any], object], code: str
) -> None:
    change(bundle, how)
    error = refused(keyless, "--send", str(bundle))
    assert error["code"] == code
    assert written(keyless) == []


def test_what_stands_beside_the_bytes_changes_nothing(keyless: Installation, bundle: Path) -> None:
    tx = json.loads(bundle.read_text())["transactions"][0]["tx"]
    change(bundle, set_in("valid_until_block", 1))
    change(bundle, set_in("summary", "resume everything"))
    change(bundle, set_in("tx", f"0x{0:064x}"))
    assert keyless.done("pause", "--send", bundle)["tx"] == tx


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xff", b"[" * 100_000])
def test_what_is_no_bundle(keyless: Installation, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(content)
    assert refused(keyless, "--send", str(path))["code"] == "bundle-unreadable"

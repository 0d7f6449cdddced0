"""The configuration as people meet it: written once, and every mistake in it told in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.installation import Installation, run


def test_init_writes_a_commented_configuration_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "tocsin.toml is written" in run("init").out
    written = (tmp_path / "tocsin.toml").read_text(encoding="utf-8")
    assert written.startswith("# The configuration of Tocsin")

    (tmp_path / "tocsin.toml").write_text("mine", encoding="utf-8")
    again = run("init", "--json")
    assert (again.code, again.error["code"]) == (3, "file-exists")
    assert (tmp_path / "tocsin.toml").read_text(encoding="utf-8") == "mine"

    assert run("init", "other.toml", "--json").document == {"file": "other.toml"}
    assert (tmp_path / "other.toml").read_text(encoding="utf-8") == written
    nowhere = run("init", "no/such/folder.toml", "--json")
    assert (nowhere.code, nowhere.error["code"]) == (3, "file-not-writable")


def test_the_written_configuration_is_valid(tmp_path: Path) -> None:
    configuration = tmp_path / "tocsin.toml"
    run("init", configuration)
    assert run("incidents", "--json", "-c", configuration).document == []


def test_without_a_configuration_people_are_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    for command in (["incidents"], ["serve"], ["dry-run", "1"], ["runbook", "show"], ["runbook", "accept"]):
        told = run(*command, "--json")
        assert (told.code, told.error["code"]) == (2, "no-configuration")
        assert "tocsin init" in told.err


def test_the_environment_names_the_configuration(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", str(installation.configuration))
    assert run("incidents", "--json").document == []


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (('mode = "act"', 'mood = "act"'), "mood: unknown key (did you mean mode?)"),
        (("quorum = 2", "qourum = 2"), "network.qourum: unknown key (did you mean quorum?)"),
        (("quorum = 2", "quorum = 9"), "network.quorum: more providers must agree than there are"),
        (('mode = "act"', 'mode = "brave"'), "mode: "),
        (('contract = "pause_registry"', 'contract = "pause_regisry"'), "did you mean pause_registry?"),
        (('TL = ["bob"]', 'TL = ["bobby"]'), "did you mean bob?"),
        (('mode = "act"', "mode = act"), "can't be read"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_a_suggestion(
    install: Callable[..., Installation], mistake: tuple[str, str], says: str
) -> None:
    told = install(mistake=mistake).run("incidents", "--json")
    assert told.code == 2
    assert says in told.error["message"]
    assert str(told.error["message"]).count("\n") == 0


def test_a_wrong_password_is_refused_without_quoting_it(install: Callable[..., Installation], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("not the password", encoding="utf-8")
    wrong = install(password=('password_file = "password"', f"password_file = {json.dumps(str(password))}"))
    told = wrong.run("runbook", "accept", "--json")
    assert (told.code, told.error["code"]) == (3, "wallet-locked")
    assert "not the password" not in told.out + told.err
    password.unlink()
    assert wrong.refused("runbook", "accept")["code"] == "password-missing"


def test_a_person_without_a_wallet_here_is_told_so(install: Callable[..., Installation]) -> None:
    without = install(key=('key = { wallet = "wallets/alice.json", password_file = "password" }\n', ""))
    told = without.run("runbook", "accept", "--json")
    assert (told.code, told.error["code"]) == (2, "no-key-of-person")
    assert "people.alice.key" in told.error["next_step"]

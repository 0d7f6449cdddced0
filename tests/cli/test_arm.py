"""`tocsin arm`, `disarm` and `armed` as processes: who consents to what, for how long, and what undoes it."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.installation import Installation, run_process
from tocsin.reflex.standing import LastShot, PoolStanding, Standing, StopStanding, write_standing
from tocsin.reflex.stops import Readiness

NOT_ARMED = 1
USAGE = 2
REFUSED = 3


def command(installation: Installation, *arguments: object, code: int = 0) -> Any:
    """Runs one command as a process, which must end with this code; returns its JSON document."""
    done = run_process(*arguments, "-c", installation.configuration, "--json")
    assert done.code == code, (done.out, done.err)
    return json.loads(done.out)


def test_it_is_armed_and_disarmed_and_each_time_shown(installation: Installation) -> None:
    before = command(installation, "armed", code=NOT_ARMED)
    assert (before["armed"], before["armed_by"], before["until"], before["service"]) == (False, [], None, None)
    armed = command(installation, "arm", "--days", "7")
    assert (armed["armed"], armed["armed_by"]) == (True, ["alice"])
    left = datetime.fromisoformat(armed["until"]) - datetime.now(UTC)
    assert timedelta(days=6.9) < left <= timedelta(days=7)
    assert armed["plan_hash"] == before["plan_hash"]
    plan = armed["plan"]
    assert any("gas-outflow" in rule for rule in plan["rules"])
    assert any(".setPaused(true, " in pause for pause in plan["pauses"])
    assert command(installation, "armed")["armed"] is True
    disarmed = command(installation, "disarm", "--reason", "maintenance", "--as", "bob")
    assert (disarmed["armed"], disarmed["armed_by"]) == (False, [])
    assert command(installation, "armed", code=NOT_ARMED)["armed"] is False


def test_people_read_what_they_consent_to(installation: Installation) -> None:
    outcome = installation.run("arm")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("armed  1 of 1 consents: alice until ")
    for words in ("fires when", "share_percent >= 5", "then pauses", "at most", "1 GAS network fee"):
        assert words in outcome.out
    assert "no service has run here yet" in outcome.out


@pytest.mark.parametrize("days", ["90.001", "91", "0", "-1", "1e300", "nan", "inf"])
def test_nobody_consents_to_more_than_ninety_days_or_to_nothing(installation: Installation, days: str) -> None:
    error = installation.refused("arm", f"--days={days}")
    assert error["code"] == "arming-too-long"
    assert error["next_step"]
    assert installation.run("armed", "--json").document["armed"] is False


def test_ninety_days_are_allowed(installation: Installation) -> None:
    assert installation.done("arm", "--days", "90")["armed"] is True


def test_a_stranger_neither_arms_nor_disarms(installation: Installation) -> None:
    installation.done("arm")
    for arguments in (("arm",), ("disarm", "--reason", "because")):
        error = command(installation, *arguments, "--as", "mallory", code=REFUSED)["error"]
        assert error["code"] == "principal-unknown"
        assert "alice" in error["next_step"]
    assert installation.done("armed")["armed_by"] == ["alice"]


def test_nobody_arms_as_somebody_whose_key_is_another(install: Callable[..., Installation]) -> None:
    # Alice's wallet is named for bob: what it signs is not bob's consent.
    installation = install(wallet=('wallet = "wallets/bob.json"', 'wallet = "wallets/alice.json"'))
    error = installation.refused("arm", "--as", "bob")
    assert error["code"] == "not-the-enrolled-key"
    assert installation.run("armed", "--json").document["armed_by"] == []


def test_a_changed_configuration_is_not_armed_any_more(install: Callable[..., Installation]) -> None:
    installation = install()
    installation.done("arm")
    text = installation.configuration.read_text(encoding="utf-8")
    assert "share_percent >= 5" in text
    installation.configuration.write_text(text.replace("share_percent >= 5", "share_percent >= 1"), encoding="utf-8")
    changed = command(installation, "armed", code=NOT_ARMED)
    assert (changed["armed"], changed["armed_by"]) == (False, [])
    installation.configuration.write_text(text, encoding="utf-8")
    assert command(installation, "armed")["armed"] is True, "what was consented to is armed again"


def test_where_two_must_consent_one_does_not_arm_it(install: Callable[..., Installation]) -> None:
    installation = install(approvals=('name = "reference platform"', 'name = "x"\nreflex = { approvals = 2 }'))
    first = installation.done("arm")
    assert (first["armed"], first["armed_by"]) == (False, ["alice"])
    assert installation.done("arm")["armed"] is False, "the same person twice is one person"
    second = installation.done("arm", "--as", "bob")
    assert (second["armed"], second["armed_by"]) == (True, ["alice", "bob"])


def test_a_consent_expires(installation: Installation) -> None:
    # Not even a second; the commands until then may take longer.
    armed = installation.done("arm", "--days", "0.00001")
    until = datetime.fromisoformat(armed["until"])

    def gone() -> bool | None:
        outcome = installation.run("armed", "--json")
        assert outcome.code in (0, NOT_ARMED)
        return True if outcome.code == NOT_ARMED else None

    assert installation.until(gone)
    assert datetime.now(UTC) >= until


def standing(at: datetime, **changed: Any) -> Standing:
    values: dict[str, Any] = {
        "at": at,
        "ended": False,
        "height": 120,
        "armed_by": ("alice",),
        "armed_until": at + timedelta(days=3),
        "held_back": None,
        "blocks_only": "",
        "pool": (PoolStanding("validator", "listening", ""), PoolStanding("follower-1", "lost", "no answer")),
        "stops": (
            StopStanding("the app prize-pot", Readiness.HOLDING, 220, ""),
            StopStanding("everything", Readiness.READY, 221, "no endpoint answers"),
        ),
        "shots": 1,
        "last_shot": LastShot(at, "the app prize-pot", "0x" + "1" * 64, "0x" + "2" * 64, 4.25),
    }
    return Standing(**{**values, **changed})


def test_what_the_service_wrote_is_shown_with_its_age(installation: Installation) -> None:
    installation.done("arm")
    write_standing(installation.state, standing(datetime.now(UTC)))
    service = installation.done("armed")["service"]
    assert service["running"] is True
    assert 0 <= service["age_s"] < 5
    assert service["stops"][0] == {
        "name": "the app prize-pot",
        "readiness": "holding",
        "armed_until_block": 220,
        "problem": None,
    }
    assert service["last_shot"]["reaction_ms"] == 4.25
    write_standing(installation.state, standing(datetime.now(UTC)))
    text = installation.run("armed").out
    for words in (
        "running, as of",
        "at block 120: it would fire",
        "the app prize-pot: holding, prepared until block 220",
        "everything: ready, prepared until block 221 (no endpoint answers)",
        "follower-1: lost (no answer)",
        "4.2 ms after 0x1111",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("written_ago", "changed", "said"),
    [
        (timedelta(hours=2), {}, "as of 2 h"),
        (timedelta(), {"ended": True}, "no service is running: nothing would be fired"),
        (timedelta(), {"blocks_only": "no node tells of its pool"}, "seen in blocks only: no node tells of its pool"),
    ],
    ids=["killed", "ended", "blocks only"],
)
def test_a_service_that_runs_no_more_or_only_watches_blocks_is_told_so(
    installation: Installation, written_ago: timedelta, changed: Mapping[str, Any], said: str
) -> None:
    installation.done("arm")
    write_standing(installation.state, standing(datetime.now(UTC) - written_ago, **changed))
    assert said in installation.run("armed").out

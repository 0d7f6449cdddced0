"""Who has armed the reflex: only unexpired signatures over exactly the present plan count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.reflex.arming import ARMED_FOR_MAX, ArmingRow, ReflexPlan, armament, arming_message

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PLAN = ReflexPlan(
    magic=7,
    endpoints=("own of us: http://127.0.0.1:1",),
    quorum=1,
    known=(),
    rules=("gas-outflow: share_percent >= 5 within 60 s",),
    pauses=("prize-pot by setPaused(true, prize-pot)",),
    network_fee_max="1",
    scopes_per_hour=3,
    approvals_needed=2,
)


def signature(principal: str, message: bytes) -> str:
    return f"{principal} {message.hex()}"


def signed_by(principal: str, message: bytes, given_signature: str) -> str | None:
    """The key of whoever signed; bobby is another name of bob."""
    if principal == "mallory" or given_signature != signature(principal, message):
        return None
    return "bob's key" if principal == "bobby" else f"{principal}'s key"


def armed(principal: str, plan: ReflexPlan = PLAN, lasts: timedelta = timedelta(days=30)) -> ArmingRow:
    expires = NOW + lasts
    return ArmingRow(principal, NOW, plan.hash, expires, signature(principal, arming_message(plan.hash, expires)), "")


def disarmed(principal: str) -> ArmingRow:
    return ArmingRow(principal, NOW, None, None, None, "maintenance")


def test_one_key_under_two_names_is_one_person() -> None:
    assert armament(PLAN, [armed("bob"), armed("bobby")], signed_by, NOW).armed_by == ("bobby",)


def test_it_is_armed_once_enough_different_people_have_signed() -> None:
    assert not armament(PLAN, [armed("alice")], signed_by, NOW).armed
    assert not armament(PLAN, [armed("alice"), armed("alice")], signed_by, NOW).armed
    found = armament(PLAN, [armed("alice"), armed("bob", lasts=timedelta(days=10))], signed_by, NOW)
    assert found.armed
    assert found.armed_by == ("alice", "bob")
    assert found.until == NOW + timedelta(days=10), "the first consent to expire disarms it"


def test_disarming_takes_one_person_and_undoes_every_consent() -> None:
    rows = [armed("alice"), armed("bob"), disarmed("carol")]
    assert not armament(PLAN, rows, signed_by, NOW).armed
    assert armament(PLAN, [*rows, armed("alice"), armed("bob")], signed_by, NOW).armed


def test_a_changed_reflex_is_not_armed() -> None:
    rows = [armed("alice"), armed("bob")]
    for changed in (
        replace(PLAN, rules=("gas-outflow: share_percent >= 1 within 60 s",)),
        replace(PLAN, pauses=("everything by pauseAll()",)),
        replace(PLAN, network_fee_max="100"),
        replace(PLAN, scopes_per_hour=99),
        replace(PLAN, magic=8),
        replace(PLAN, known=("0x" + "11" * 20,)),
        replace(PLAN, endpoints=("own of us: http://127.0.0.1:2",)),
        replace(PLAN, quorum=2),
    ):
        assert not armament(changed, rows, signed_by, NOW).armed


def test_forged_expired_and_endless_consents_do_not_count() -> None:
    forged = replace(armed("bob"), signature=signature("alice", b"something else"))
    assert armament(PLAN, [armed("alice"), forged], signed_by, NOW).armed_by == ("alice",)
    assert armament(PLAN, [armed("alice"), armed("mallory")], signed_by, NOW).armed_by == ("alice",)
    endless = armed("bob", lasts=ARMED_FOR_MAX + timedelta(seconds=1))
    assert armament(PLAN, [armed("alice"), endless], signed_by, NOW).armed_by == ("alice",)
    later = NOW + timedelta(days=30)
    assert armament(PLAN, [armed("alice"), armed("bob")], signed_by, later).armed_by == ()
    stretched = replace(armed("bob", lasts=timedelta(days=1)), expires_at=NOW + timedelta(days=30))
    assert armament(PLAN, [armed("alice"), stretched], signed_by, NOW).armed_by == ("alice",)


@settings(deadline=None)  # a machine that runs other tests too may pause in the middle of one
@given(st.lists(st.sampled_from(["alice", "bob", "carol", "off"]), max_size=12))
def test_what_counts_is_who_signed_since_it_was_last_disarmed(acts: list[str]) -> None:
    rows = [disarmed("alice") if who == "off" else armed(who) for who in acts]
    since = acts[len(acts) - acts[::-1].index("off") :] if "off" in acts else acts
    assert set(armament(PLAN, rows, signed_by, NOW).armed_by) == set(since)

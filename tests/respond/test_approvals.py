"""An approval is the signed consent of an enrolled person to exactly one plan, for a while."""

from dataclasses import replace
from datetime import timedelta

import pytest

from respond.house import MIDNIGHT, is_signature, principals, public_key, signs
from tocsin.domain.actions import Plan
from tocsin.domain.errors import Refused
from tocsin.domain.principals import TOCSIN, Approval, Principal, PrincipalKind, approval_message
from tocsin.respond.approvals import APPROVAL_VALID_FOR, Principals

PLAN = Plan("INC-1/1.0.1", "contract.pause", "pause everything", {"args": []}, {}, ("registry",), 1, "c0ffee", 7)
PEOPLE = principals()


def approval(person: str = "alice", plan: Plan = PLAN) -> Approval:
    return PEOPLE.approve(person, plan, signs(person), MIDNIGHT)


def code(given: Approval, plan: Plan = PLAN) -> str:
    with pytest.raises(Refused) as refused:
        PEOPLE.check(given, plan)
    assert refused.value.next_step
    return refused.value.code


def test_what_a_person_has_signed_is_their_consent() -> None:
    PEOPLE.check(approval(), PLAN)
    assert PEOPLE.consents([approval()], PLAN, MIDNIGHT) == {"alice"}


def test_what_the_preflight_saw_standing_is_no_part_of_the_consent() -> None:
    PEOPLE.check(approval(), replace(PLAN, before={"paused": True}))


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, run="INC-1/1.0.2"),
        replace(PLAN, action="contract.invoke"),
        replace(PLAN, summary="pause one app"),
        replace(PLAN, inputs={"args": ["app-1"]}),
        replace(PLAN, approvals_needed=2),
        replace(PLAN, runbook_hash="decaf"),
        replace(PLAN, network=8),
    ],
    ids=["run", "action", "summary", "inputs", "approvals", "runbook", "network"],
)
def test_a_consent_to_another_plan_is_none(other: Plan) -> None:
    assert code(approval(), other) == "approval-of-another-plan"
    assert PEOPLE.consents([approval()], other, MIDNIGHT) == frozenset()


def test_a_consent_that_was_moved_to_another_plan_is_not_signed() -> None:
    other = replace(PLAN, run="INC-1/1.0.2")
    assert code(replace(approval(), plan_hash=other.hash), other) == "approval-not-signed"


def test_a_consent_whose_expiry_was_put_off_is_not_signed() -> None:
    assert code(replace(approval(), expires_at=MIDNIGHT + timedelta(days=1))) == "approval-not-signed"


def test_a_consent_in_the_name_of_another_is_not_signed() -> None:
    assert code(replace(approval("bob"), principal="alice")) == "approval-not-signed"


def test_a_consent_of_a_stranger_is_refused() -> None:
    assert code(replace(approval(), principal="mallory")) == "principal-unknown"


def test_tocsin_itself_has_no_key_and_consents_to_nothing() -> None:
    assert code(replace(approval(), principal=TOCSIN.id)) == "approval-not-signed"


def test_a_person_without_a_key_consents_to_nothing() -> None:
    people = Principals([Principal("dave", PrincipalKind.PERSON, "Dave")], is_signature)
    expires = MIDNIGHT + APPROVAL_VALID_FOR
    given = Approval("dave", PLAN.hash, signs("dave")(approval_message(PLAN.hash, expires)), MIDNIGHT, expires)
    assert people.consents([given], PLAN, MIDNIGHT) == frozenset()


def test_a_consent_holds_from_when_it_was_given_until_it_expires() -> None:
    def consents(after: timedelta) -> int:
        return len(PEOPLE.consents([approval()], PLAN, MIDNIGHT + after))

    moment = timedelta(microseconds=1)
    assert [consents(-moment), consents(timedelta(0))] == [0, 1]
    assert [consents(APPROVAL_VALID_FOR - moment), consents(APPROVAL_VALID_FOR)] == [1, 0]


def test_one_person_who_consents_twice_is_one_person() -> None:
    assert PEOPLE.consents([approval(), approval(), approval("bob")], PLAN, MIDNIGHT) == {"alice", "bob"}


def test_one_key_under_two_names_is_one_person() -> None:
    people = Principals(
        [Principal(n, PrincipalKind.PERSON, n, public_key("alice")) for n in ("alice", "al")], is_signature
    )
    given = [people.approve(name, PLAN, signs("alice"), MIDNIGHT) for name in ("alice", "al")]
    assert people.consents(given, PLAN, MIDNIGHT) == {"alice"}


def test_an_unknown_name_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(Refused) as refused:
        PEOPLE.get("alicia")
    assert "alice, bob, carol" in refused.value.next_step
    assert TOCSIN.id not in refused.value.next_step

"""A request to resume: two keys must consent to it, and only on the network that it was made for."""

from dataclasses import replace

import pytest

from respond.house import MIDNIGHT, NETWORK, is_signature, principals, public_key, signs
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.errors import Refused
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.respond.approvals import Principals
from tocsin.respond.resumption import Resumption, must_match

REQUEST = Resumption(PauseTarget(), "resumeAll()", "patched", "alice", MIDNIGHT, ("all is well",), "c0ffee", NETWORK)


def test_two_people_consent() -> None:
    people = principals()
    request = REQUEST.approved(people, "alice", signs("alice"), MIDNIGHT)
    request = request.approved(people, "bob", signs("bob"), MIDNIGHT)
    assert request.consenting(people, MIDNIGHT) == ("alice", "bob")


@pytest.mark.parametrize("name", ["alice", "al"])
def test_one_key_consents_once_under_whatever_name(name: str) -> None:
    enrolled = [Principal(n, PrincipalKind.PERSON, n, public_key("alice")) for n in ("alice", "al")]
    people = Principals(enrolled, is_signature)
    request = REQUEST.approved(people, "alice", signs("alice"), MIDNIGHT)
    with pytest.raises(Refused) as refused:
        request.approved(people, name, signs("alice"), MIDNIGHT)
    assert refused.value.code == "second-person-needed"


def test_a_request_of_another_network_is_refused_and_so_is_a_consent_that_was_moved() -> None:
    people = principals()
    moved = replace(REQUEST.approved(people, "alice", signs("alice"), MIDNIGHT), network=NETWORK + 1)
    assert moved.consenting(people, MIDNIGHT) == ()
    with pytest.raises(Refused, match=f"it is for network {NETWORK + 1}, and this one is {NETWORK}"):
        must_match(moved, call="resumeAll()", checklist=["all is well"], runbook_hash="c0ffee", network=NETWORK)

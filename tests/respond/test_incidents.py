"""The verbs of an incident: what may be appended to its log, by whom, and what is said when it may not."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from fakes.event_log import MemoryEventLog
from respond.house import MIDNIGHT, RUN, open_house
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused
from tocsin.incident.events import (
    Acknowledged,
    ClosedAsFalseAlarm,
    Declared,
    DetectionJoined,
    ItemTicked,
    NoteAdded,
    PlanApproved,
    Recorded,
    RunManual,
)
from tocsin.respond.incidents import NotApplicable
from tocsin.respond.ports import ChainVerdict, EventLog, IncidentSummary, LogMoved, NewEvent
from tocsin.runbook.model import Severity

INCIDENT = "INC-2026-0001"


def detection(number: int = 1, key: str = "exploit:hub") -> Detection:
    return Detection(
        id=f"detection-{number}",
        rule="gas-outflow",
        emergency="exploit",
        symptom="Unusual fund movements",
        key=key,
        summary="50 GAS left the hub",
        observed_at=MIDNIGHT,
        height=7,
        evidence={},
    )


class BusyEventLog:
    """Somebody else appends right before the first `rivals` appends of the one who tests."""

    def __init__(self, inner: MemoryEventLog, rivals: int) -> None:
        self._inner, self._rivals = inner, rivals

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        if self._rivals > 0:
            self._rivals -= 1
            note = NewEvent(MIDNIGHT, "bob", f"rival {self._rivals}", NoteAdded("me first"))
            await self._inner.append(incident, [note], expected_seq=None)
        return await self._inner.append(incident, events, expected_seq=expected_seq)

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        return await self._inner.read(incident, after, limit=limit)

    async def head_of_log(self) -> int:
        return await self._inner.head_of_log()

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        return await self._inner.changed_since(position)

    async def incidents(self) -> Sequence[IncidentSummary]:
        return await self._inner.incidents()

    async def verify(self, incident: str) -> ChainVerdict:
        return await self._inner.verify(incident)

    def export(self, incident: str) -> AsyncIterator[str]:
        return self._inner.export(incident)


async def test_a_declaration_pins_the_accepted_runbook_and_its_severity() -> None:
    house = await open_house()
    await house.declare()
    (declared,) = await house.events()
    assert isinstance(declared, Declared)
    assert declared.runbook_hash == (await house.library.accepted()).hash
    assert (declared.emergency, declared.title, declared.severity) == ("exploit", "Exploit", Severity.P0)


async def test_an_emergency_may_be_named_by_its_title_or_number() -> None:
    house = await open_house()
    for name in ("Exploit", "1"):
        incident, _ = await house.incidents.declare(name, principal="alice", reason="", key="one")
        assert (await house.state(incident)).emergency == "exploit"


async def test_two_declarations_without_a_key_are_two_incidents() -> None:
    house = await open_house()
    first = await house.incidents.declare("exploit", principal="alice", reason="the hub")
    second = await house.incidents.declare("exploit", principal="bob", reason="the bank")
    assert (first, second) == ((INCIDENT, True), ("INC-2026-0002", True))


async def test_a_declaration_with_the_key_of_an_open_incident_finds_that_one() -> None:
    house = await open_house()
    declared = [
        house.incidents.declare("exploit", principal=person, reason="the hub", key="hub") for person in ("alice", "bob")
    ]
    assert sorted(await asyncio.gather(*declared)) == [(INCIDENT, False), (INCIDENT, True)]
    await house.says("alice", ClosedAsFalseAlarm("a planned payout"))
    assert await house.incidents.declare("exploit", principal="bob", reason="now really", key="hub") == (
        "INC-2026-0002",
        True,
    )


async def test_detections_with_one_key_are_one_incident_and_each_joins_once() -> None:
    house = await open_house()
    for number in (1, 2, 1):
        assert await house.incidents.detected(detection(number)) == INCIDENT
    joined = [event.detection.id for event in await house.events() if isinstance(event, DetectionJoined)]
    assert joined == ["detection-1", "detection-2"]
    assert await house.incidents.detected(detection(3, key="exploit:bank")) == "INC-2026-0002"


async def test_an_event_whose_key_is_known_is_not_appended_again() -> None:
    house = await open_house()
    await house.declare()
    first = await house.incidents.record(INCIDENT, NoteAdded("once"), "alice", key="note")
    again = await house.incidents.record(INCIDENT, NoteAdded("twice"), "alice", key="note")
    assert again == first
    assert len(await house.events()) == 2


async def test_whoever_is_overtaken_looks_again_and_then_appends() -> None:
    inner = MemoryEventLog()
    house = await open_house(log=BusyEventLog(inner, rivals=3), index=inner)
    await house.declare()
    recorded = await house.says("alice", Acknowledged())
    assert [type(event) for event in await house.events()] == [Declared, *[NoteAdded] * 3, Acknowledged]
    assert recorded.seq == 5


async def test_an_event_that_was_overtaken_by_what_forbids_it_is_refused() -> None:
    house = await open_house()
    await house.declare()
    outcomes = await asyncio.gather(
        *(house.says(person, Acknowledged()) for person in ("alice", "bob", "carol")), return_exceptions=True
    )
    assert [type(each) for each in outcomes].count(NotApplicable) == 2
    assert len(await house.events()) == 2


async def test_whoever_is_overtaken_again_and_again_is_told_so() -> None:
    inner = MemoryEventLog()
    log: EventLog = BusyEventLog(inner, rivals=1_000)
    house = await open_house(log=log, index=inner)
    await house.declare()
    with pytest.raises(Refused) as refused:
        await house.says("alice", Acknowledged())
    assert refused.value.code == "log-is-busy"
    assert not isinstance(refused.value, NotApplicable | LogMoved)


async def test_what_does_not_apply_is_refused_with_what_to_do_instead() -> None:
    house = await open_house()
    await house.declare()
    for event, said in [
        (ItemTicked(2, 0, "looked"), "has not begun: begin it early with `tocsin step run"),
        (ItemTicked(9, 0, "looked"), "there is no step 9"),
        (NoteAdded(" "), "a note needs a text"),
        (RunManual(RUN, 0, "by hand"), "only Tocsin records what its runs"),
    ]:
        with pytest.raises(NotApplicable) as refused:
            await house.says("alice", event)
        assert refused.value.code == "does-not-apply"
        assert refused.value.message.startswith(f"{INCIDENT}: ")
        assert said in refused.value.message
        assert refused.value.next_step
    assert len(await house.events()) == 1


@pytest.mark.parametrize(
    ("emergency", "person", "code", "said"),
    [
        ("flood", "alice", "emergency-unknown", "it has exploit"),
        ("exploit", "mallory", "principal-unknown", "enrolled are alice, bob, carol"),
    ],
)
async def test_what_cannot_be_declared(emergency: str, person: str, code: str, said: str) -> None:
    house = await open_house()
    with pytest.raises(Refused) as refused:
        await house.incidents.declare(emergency, principal=person, reason="")
    assert refused.value.code == code
    assert said in refused.value.next_step
    assert await house.incidents.summaries() == []


async def test_an_unknown_incident_is_refused() -> None:
    house = await open_house()
    for asked in (house.incidents.state("INC-9"), house.incidents.record("INC-9", Acknowledged(), "alice")):
        with pytest.raises(Refused) as refused:
            await asked
        assert refused.value.code == "incident-unknown"


async def test_nobody_who_is_not_enrolled_says_anything() -> None:
    house = await open_house()
    await house.declare()
    with pytest.raises(Refused) as refused:
        await house.says("mallory", Acknowledged())
    assert refused.value.code == "principal-unknown"


async def test_a_forged_approval_is_not_recorded() -> None:
    house = await open_house()
    await house.planned()
    with pytest.raises(Refused) as refused:
        await house.says("alice", await house.forged("alice"))
    assert refused.value.code == "approval-not-signed"


async def test_nobody_records_the_approval_of_another() -> None:
    house = await open_house()
    await house.planned()
    approval = await house.approval("alice")
    with pytest.raises(Refused) as refused:
        await house.says("bob", approval)
    assert refused.value.code == "approval-of-another"


async def test_an_approval_needs_a_plan() -> None:
    house = await open_house()
    await house.planned()
    approval = await house.approval("alice")
    for run in (f"{INCIDENT}/9.9.9", f"{INCIDENT}/2.0.1"):
        with pytest.raises(Refused) as refused:
            await house.says("alice", PlanApproved(run, approval.approval))
        assert refused.value.code == "nothing-to-approve"


async def test_an_approval_of_an_earlier_plan_is_refused() -> None:
    house = await open_house()
    await house.planned()
    approval = (await house.approval("alice")).approval
    other, _ = await house.incidents.declare("exploit", principal="alice", reason="the bank")
    run = f"{other}/1.0.1"
    await house.runner.preflight(other, run)
    with pytest.raises(Refused) as refused:
        await house.says("alice", PlanApproved(run, approval), other)
    assert refused.value.code == "approval-of-another-plan"


async def test_every_append_of_this_process_is_told_at_once() -> None:
    house = await open_house()
    await house.declare()
    told = len(house.appended)
    await house.says("alice", Acknowledged())
    assert len(house.appended) == told + 1

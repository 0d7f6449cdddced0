"""The server takes what break glass did into the timeline: each change once, however often it looks and restarts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conformance.outbox import entry
from respond.house import EMERGENCY, House, open_house
from tocsin.connect.outbox_file import FileOutbox
from tocsin.connect.ports import ChainSender, Included, Invocation, OutboxStatus, Sent
from tocsin.domain.errors import OutcomeUnknown, Unavailable
from tocsin.domain.hashes import ScriptHash, tx_hash
from tocsin.incident.events import Declared, NoteAdded
from tocsin.respond.adoption import ADOPTED, Adoption

INCIDENT = "INC-2026-0001"
KEY = "pause/all/1"
ABOUT = {"run": "r", "by": "alice", "reason": "theft", "target": "all"}


@dataclass
class Silent:
    """A sender that hears nothing of the transaction, or settles it, if it is told how."""

    outbox: FileOutbox
    height: int | None = None

    async def wait(self, sent: Sent) -> Included:
        if self.height is not None:
            await self.outbox.settle(sent.key, OutboxStatus.INCLUDED, self.height)
        raise OutcomeUnknown("no-outcome", "nobody says")

    async def account(self, purpose: str) -> ScriptHash:
        raise NotImplementedError

    async def recall(self, key: str) -> Sent | None:
        raise NotImplementedError

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        raise NotImplementedError


class ReadOnly(FileOutbox):
    """The file of another user, say."""

    async def remark(self, key: str, name: str, facts: object) -> None:
        raise Unavailable("outbox-unusable", "it may not be written")


@pytest.fixture
async def outbox(tmp_path: Path) -> FileOutbox:
    made = FileOutbox(tmp_path / "outbox", ABOUT)
    await made.put(entry(KEY))
    return made


@pytest.fixture
async def house() -> House:
    return await open_house()


def adoption(house: House, outbox: FileOutbox, sender: ChainSender | None = None) -> Adoption:
    return Adoption(house.incidents, EMERGENCY, lambda: [outbox], lambda _: sender or Silent(outbox))


async def notes(house: House, incident: str = INCIDENT) -> Sequence[str]:
    return [event.text for event in await house.events(incident) if isinstance(event, NoteAdded)]


async def test_where_no_incident_is_open_one_is_declared(house: House, outbox: FileOutbox) -> None:
    await outbox.settle(KEY, OutboxStatus.INCLUDED, 7)
    await outbox.remark(KEY, "result", {"outcome": "paused"})
    assert await adoption(house, outbox).adopt() == [INCIDENT]
    declared = (await house.events())[0]
    assert isinstance(declared, Declared)
    assert declared.reason == "break glass by alice: theft"
    (note,) = await notes(house)
    assert note.startswith(f"Break glass: alice sent {entry(KEY).tx} at 2025-03-01 03:00:00 UTC to pause all (theft)")
    assert note.endswith("in block 7; the pause holds")


async def test_an_open_incident_of_the_emergency_is_joined(house: House, outbox: FileOutbox) -> None:
    await house.declare()
    assert await adoption(house, outbox).adopt() == [INCIDENT]
    assert len(await notes(house)) == 1


async def test_looking_again_tells_nothing_new(house: House, outbox: FileOutbox) -> None:
    looking = adoption(house, outbox)
    await looking.adopt()
    assert await looking.adopt() == []
    assert await adoption(house, outbox).adopt() == []
    assert len(await notes(house)) == 1


async def test_two_files_that_number_their_pauses_alike_are_both_told(house: House, tmp_path: Path) -> None:
    files = [FileOutbox(tmp_path / name, {**ABOUT, "by": name}) for name in ("alice", "bob")]
    for number, file in enumerate(files, start=1):
        await file.put(replace(entry(KEY), tx=tx_hash(f"{number:064x}")))
    looking = Adoption(house.incidents, EMERGENCY, lambda: files, lambda _: Silent(files[0]))
    assert await looking.adopt() == [INCIDENT, INCIDENT]
    assert await looking.adopt() == []
    assert [note.split(" sent ")[0] for note in await notes(house)] == ["Break glass: alice", "Break glass: bob"]


async def test_what_becomes_known_later_is_another_note(house: House, outbox: FileOutbox) -> None:
    await adoption(house, outbox).adopt()
    await adoption(house, outbox, Silent(outbox, height=9)).adopt()
    first, second = await notes(house)
    assert first.endswith("sent, not confirmed yet")
    assert second.endswith("in block 9; nobody has verified yet that the pause holds")


async def test_with_the_incident_closed_it_is_not_declared_again(house: House, outbox: FileOutbox) -> None:
    await adoption(house, outbox).adopt()
    before = len(await house.incidents.summaries())
    file = outbox.path.read_text().splitlines(keepends=True)
    outbox.path.write_text("".join(line for line in file if ADOPTED not in line))  # died before it was written
    assert await adoption(house, outbox).adopt() == [INCIDENT]
    assert len(await house.incidents.summaries()) == before
    assert len(await notes(house)) == 1


async def test_a_file_that_can_not_be_written_is_adopted_all_the_same(house: House, outbox: FileOutbox) -> None:
    read_only = ReadOnly(outbox.path)
    looking = adoption(house, read_only)
    assert await looking.adopt() == [INCIDENT]
    assert await looking.adopt() == []
    await adoption(house, read_only).adopt()
    assert len(await notes(house)) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (OutboxStatus.EXPIRED, "expired with block 101; nothing happened"),
        (OutboxStatus.REFUSED, "only one that kept it could still include it, up to block 101"),
    ],
)
async def test_a_pause_that_came_to_nothing_is_told_too(
    house: House, outbox: FileOutbox, status: OutboxStatus, words: str
) -> None:
    await outbox.settle(KEY, status, None)
    await adoption(house, outbox).adopt()
    (note,) = await notes(house)
    assert note.endswith(words)

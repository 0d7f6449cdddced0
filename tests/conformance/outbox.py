"""What every outbox must do. A test module subclasses `OutboxConformance` and says with a fixture which one it is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tocsin.connect.ports import Outbox, OutboxEntry, OutboxStatus
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import TxHash

START = datetime(2025, 3, 1, 3, 0, tzinfo=UTC)


def entry(key: str, number: int = 1) -> OutboxEntry:
    """An entry that differs from others of the same key by its number, which also says how late it was made."""
    return OutboxEntry(
        key=key,
        tx=TxHash(f"0x{number:064x}"),
        raw=bytes([number]) * 40,
        valid_until_block=100 + number,
        purpose="pause",
        created_at=START + timedelta(microseconds=number),
    )


class OutboxConformance:
    """The suite. A subclass has an `outbox` fixture that gives an empty one."""

    @pytest.fixture
    def outbox(self) -> Outbox:
        raise NotImplementedError

    async def test_an_entry_comes_back_as_it_was_put(self, outbox: Outbox) -> None:
        assert await outbox.put(entry("step-1")) == entry("step-1")
        assert await outbox.get("step-1") == entry("step-1")

    async def test_an_unknown_key_has_no_entry(self, outbox: Outbox) -> None:
        assert await outbox.get("step-1") is None

    async def test_the_first_writer_wins(self, outbox: Outbox) -> None:
        await outbox.put(entry("step-1", 1))
        assert await outbox.put(entry("step-1", 2)) == entry("step-1", 1)
        assert await outbox.get("step-1") == entry("step-1", 1)

    async def test_of_writers_at_the_same_time_one_wins_for_all(self, outbox: Outbox) -> None:
        standing = await asyncio.gather(*(outbox.put(entry("step-1", number)) for number in range(1, 9)))
        assert set(standing) == {await outbox.get("step-1")}

    @pytest.mark.parametrize(
        ("status", "height"),
        [
            (OutboxStatus.INCLUDED, 7),
            (OutboxStatus.EXPIRED, None),
            (OutboxStatus.REFUSED, None),
            (OutboxStatus.CANCELLED, 7),
        ],
    )
    async def test_a_settled_entry_keeps_its_bytes_and_says_what_became_of_it(
        self, outbox: Outbox, status: OutboxStatus, height: int | None
    ) -> None:
        await outbox.put(entry("step-1"))
        await outbox.settle("step-1", status, height)
        settled = await outbox.get("step-1")
        assert settled is not None
        assert (settled.status, settled.height, settled.raw) == (status, height, entry("step-1").raw)

    async def test_a_settled_entry_still_keeps_others_from_its_key(self, outbox: Outbox) -> None:
        await outbox.put(entry("step-1", 1))
        await outbox.settle("step-1", OutboxStatus.EXPIRED, None)
        standing = await outbox.put(entry("step-1", 2))
        assert (standing.tx, standing.status) == (entry("step-1", 1).tx, OutboxStatus.EXPIRED)

    async def test_settling_twice_with_the_same_outcome_is_harmless(self, outbox: Outbox) -> None:
        await outbox.put(entry("step-1"))
        await outbox.settle("step-1", OutboxStatus.INCLUDED, 7)
        await outbox.settle("step-1", OutboxStatus.INCLUDED, 7)

    async def test_settling_otherwise_is_refused_and_changes_nothing(self, outbox: Outbox) -> None:
        await outbox.put(entry("step-1"))
        await outbox.settle("step-1", OutboxStatus.INCLUDED, 7)
        for status, height in ((OutboxStatus.EXPIRED, None), (OutboxStatus.INCLUDED, 8), (OutboxStatus.CANCELLED, 7)):
            with pytest.raises(Refused):
                await outbox.settle("step-1", status, height)
        standing = await outbox.get("step-1")
        assert standing is not None
        assert (standing.status, standing.height) == (OutboxStatus.INCLUDED, 7)

    async def test_settling_what_was_never_put_is_refused(self, outbox: Outbox) -> None:
        with pytest.raises(Refused):
            await outbox.settle("step-1", OutboxStatus.EXPIRED, None)

    async def test_unsettled_entries_come_oldest_first(self, outbox: Outbox) -> None:
        for key, number in (("third", 3), ("first", 1), ("settled", 2), ("fourth", 4)):
            await outbox.put(entry(key, number))
        await outbox.settle("settled", OutboxStatus.INCLUDED, 7)
        assert [each.key for each in await outbox.unsettled()] == ["first", "third", "fourth"]

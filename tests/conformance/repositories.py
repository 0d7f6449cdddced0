"""What the small repositories must do: leases, deadlines, runbooks, the follower's cursor, seen detections.

A test module subclasses a suite and says with its fixture which implementation it is.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tocsin.detect.follower import Cursor
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import BlockHash
from tocsin.incident.events import DeadlineKind
from tocsin.respond.ports import DeadlineStore, DueDeadline, Leases, RunbookStore, SeenDetections

START = datetime(2025, 3, 1, 3, 0, tzinfo=UTC)
TTL = timedelta(seconds=10)
BLOCK = BlockHash("0x" + "cd" * 32)


class LeasesConformance:
    """A subclass has a `leases` fixture that uses the `clock` fixture."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(START)

    @pytest.fixture
    def leases(self, clock: ManualClock) -> Leases:
        raise NotImplementedError

    async def test_a_leased_resource_is_refused_to_others(self, leases: Leases) -> None:
        lease = await leases.acquire("registry", "run-1", TTL)
        assert lease is not None
        assert (lease.resource, lease.holder, lease.token, lease.expires_at) == ("registry", "run-1", 1, START + TTL)
        assert await leases.acquire("registry", "run-2", TTL) is None
        assert await leases.acquire("gas-bank", "run-2", TTL) is not None

    async def test_its_holder_gets_it_again_with_the_same_token(self, leases: Leases, clock: ManualClock) -> None:
        first = await leases.acquire("registry", "run-1", TTL)
        clock.advance(TTL / 2)
        again = await leases.acquire("registry", "run-1", TTL)
        assert first is not None
        assert again is not None
        assert (again.token, again.expires_at) == (first.token, START + TTL * 1.5)

    async def test_an_expired_lease_is_taken_over_with_a_higher_token(self, leases: Leases, clock: ManualClock) -> None:
        await leases.acquire("registry", "run-1", TTL)
        clock.advance(TTL)
        taken = await leases.acquire("registry", "run-2", TTL)
        assert taken is not None
        assert taken.token == 2
        assert await leases.renew("registry", "run-1", TTL) is False
        await leases.release("registry", "run-1")
        assert await leases.acquire("registry", "run-3", TTL) is None

    async def test_a_renewed_lease_lasts_longer(self, leases: Leases, clock: ManualClock) -> None:
        await leases.acquire("registry", "run-1", TTL)
        clock.advance(TTL / 2)
        assert await leases.renew("registry", "run-1", TTL) is True
        clock.advance(TTL / 2)
        assert await leases.acquire("registry", "run-2", TTL) is None

    async def test_an_expired_or_unknown_lease_is_not_renewed(self, leases: Leases, clock: ManualClock) -> None:
        assert await leases.renew("registry", "run-1", TTL) is False
        await leases.acquire("registry", "run-1", TTL)
        clock.advance(TTL)
        assert await leases.renew("registry", "run-1", TTL) is False

    async def test_a_released_resource_is_free_and_its_token_goes_on(self, leases: Leases) -> None:
        await leases.acquire("registry", "run-1", TTL)
        await leases.release("registry", "run-1")
        assert await leases.renew("registry", "run-1", TTL) is False
        taken = await leases.acquire("registry", "run-1", TTL)
        assert taken is not None
        assert taken.token == 2

    async def test_of_many_who_want_it_one_gets_it(self, leases: Leases) -> None:
        got = await asyncio.gather(*(leases.acquire("registry", f"run-{n}", TTL) for n in range(8)))
        assert sum(lease is not None for lease in got) == 1


class DeadlinesConformance:
    """A subclass has a `deadlines` fixture that gives an empty store."""

    @pytest.fixture
    def deadlines(self) -> DeadlineStore:
        raise NotImplementedError

    async def test_a_deadline_is_due_from_its_moment_on_until_it_is_cleared(self, deadlines: DeadlineStore) -> None:
        await deadlines.set("INC-1", DeadlineKind.RESPOND, "INC-1", START)
        assert list(await deadlines.due(START - timedelta(microseconds=1), 10)) == []
        for _ in range(2):
            due = await deadlines.due(START, 10)
            assert list(due) == [DueDeadline("INC-1", DeadlineKind.RESPOND, "INC-1", START)]
        await deadlines.clear("INC-1", DeadlineKind.RESPOND, "INC-1")
        assert list(await deadlines.due(START, 10)) == []

    async def test_setting_it_again_moves_it(self, deadlines: DeadlineStore) -> None:
        await deadlines.set("INC-1", DeadlineKind.STEP_BUDGET, "1", START)
        await deadlines.set("INC-1", DeadlineKind.STEP_BUDGET, "1", START + TTL)
        assert list(await deadlines.due(START, 10)) == []
        assert await deadlines.next_due() == START + TTL

    async def test_clearing_what_was_moved_meanwhile_leaves_it(self, deadlines: DeadlineStore) -> None:
        await deadlines.set("INC-1", DeadlineKind.STEP_BUDGET, "1", START + TTL)
        await deadlines.clear("INC-1", DeadlineKind.STEP_BUDGET, "1", due_at=START)
        assert await deadlines.next_due() == START + TTL
        await deadlines.clear("INC-1", DeadlineKind.STEP_BUDGET, "1", due_at=START + TTL)
        assert await deadlines.next_due() is None

    async def test_incident_kind_and_reference_tell_deadlines_apart(self, deadlines: DeadlineStore) -> None:
        names = [
            ("INC-1", DeadlineKind.STEP_BUDGET, "1"),
            ("INC-1", DeadlineKind.STEP_BUDGET, "2"),
            ("INC-1", DeadlineKind.APPROVAL_WAIT, "1"),
            ("INC-2", DeadlineKind.STEP_BUDGET, "1"),
        ]
        for name in names:
            await deadlines.set(*name, START)
        await deadlines.clear(*names[0])
        assert {(d.incident, d.kind, d.reference) for d in await deadlines.due(START, 10)} == set(names[1:])

    async def test_the_oldest_come_first_and_no_more_than_asked_for(self, deadlines: DeadlineStore) -> None:
        for minutes in (3, 1, 2):
            await deadlines.set("INC-1", DeadlineKind.STEP_BUDGET, str(minutes), START + timedelta(minutes=minutes))
        assert [d.reference for d in await deadlines.due(START + timedelta(hours=1), 2)] == ["1", "2"]

    async def test_clearing_what_is_not_there_is_harmless(self, deadlines: DeadlineStore) -> None:
        await deadlines.clear("INC-1", DeadlineKind.RESPOND, "INC-1")
        assert await deadlines.next_due() is None


class RunbooksConformance:
    """A subclass has a `runbooks` fixture that gives an empty store."""

    @pytest.fixture
    def runbooks(self) -> RunbookStore:
        raise NotImplementedError

    async def test_a_kept_text_comes_back_and_stays(self, runbooks: RunbookStore) -> None:
        assert await runbooks.text("a" * 64) is None
        await runbooks.keep("a" * 64, "# Runbook\r\n", "RUNBOOK.md")
        await runbooks.keep("a" * 64, "another", "OTHER.md")
        assert await runbooks.text("a" * 64) == ("# Runbook\r\n", "RUNBOOK.md")

    async def test_what_is_not_kept_can_not_be_accepted(self, runbooks: RunbookStore) -> None:
        with pytest.raises(Refused):
            await runbooks.accept("a" * 64, "ana", "01", START, needed=2)

    async def test_a_principal_counts_once(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", "ana", needed=2)
        (row,) = await runbooks.acceptances("a" * 64)
        assert (row.principal, row.signature, row.at, row.needed) == ("ana", "01", START, 2)
        assert list(await runbooks.newest_first()) == []

    async def test_all_of_a_round_need_what_its_first_did(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", needed=2)
        await self._accept(runbooks, "a", "ben", needed=1)
        assert [row.needed for row in await runbooks.acceptances("a" * 64)] == [2, 2]

    async def test_the_one_completed_last_comes_first(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", needed=2)
        await self._accept(runbooks, "b", "ana", "ben", needed=2)
        assert list(await runbooks.newest_first()) == ["b" * 64]
        await self._accept(runbooks, "a", "ben", needed=2)
        assert list(await runbooks.newest_first()) == ["a" * 64, "b" * 64]

    async def test_one_more_acceptance_of_an_old_text_does_not_bring_it_back(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", "ben", needed=2)
        await self._accept(runbooks, "b", "ana", "ben", needed=2)
        await self._accept(runbooks, "a", "cem", needed=2)
        assert list(await runbooks.newest_first()) == ["b" * 64]
        assert [row.principal for row in await runbooks.acceptances("a" * 64)] == ["cem"]

    async def test_going_back_to_an_old_text_takes_as_many_as_any_change(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", "ben", needed=2)
        await self._accept(runbooks, "b", "ana", "ben", needed=2)
        await self._accept(runbooks, "a", "ana", "ben", needed=2)
        assert list(await runbooks.newest_first()) == ["a" * 64, "b" * 64]

    async def test_accepting_the_one_in_force_again_adds_to_its_round(self, runbooks: RunbookStore) -> None:
        await self._accept(runbooks, "a", "ana", "ben", "ana", "cem", needed=2)
        assert [row.principal for row in await runbooks.acceptances("a" * 64)] == ["ana", "ben", "cem"]
        assert list(await runbooks.newest_first()) == ["a" * 64]

    @staticmethod
    async def _accept(runbooks: RunbookStore, letter: str, *principals: str, needed: int) -> None:
        await runbooks.keep(letter * 64, f"# {letter}", "RUNBOOK.md")
        for principal in principals:
            await runbooks.accept(letter * 64, principal, "01", START, needed=needed)


class CursorConformance:
    """A subclass has a `cursor` fixture that gives one at its very first start."""

    @pytest.fixture
    def cursor(self) -> Cursor:
        raise NotImplementedError

    async def test_at_first_it_stands_nowhere(self, cursor: Cursor) -> None:
        assert await cursor.get("chain") is None

    async def test_it_stands_where_it_was_set_by_name(self, cursor: Cursor) -> None:
        await cursor.set("chain", 0, BLOCK)
        assert await cursor.get("chain") == 0
        await cursor.set("chain", 7, BLOCK)
        assert await cursor.get("chain") == 7
        assert await cursor.get("other") is None

    async def test_it_never_goes_back(self, cursor: Cursor) -> None:
        await cursor.set("chain", 7, BLOCK)
        await cursor.set("chain", 3, BLOCK)
        assert await cursor.get("chain") == 7


class SeenDetectionsConformance:
    """A subclass has a `seen` fixture that has seen nothing."""

    @pytest.fixture
    def seen(self) -> SeenDetections:
        raise NotImplementedError

    async def test_only_the_first_time_is_new(self, seen: SeenDetections) -> None:
        assert [await seen.record("d1"), await seen.record("d1"), await seen.record("d2")] == [True, False, True]

    async def test_at_the_same_time_one_is_first(self, seen: SeenDetections) -> None:
        assert sum(await asyncio.gather(*(seen.record("d1") for _ in range(8)))) == 1

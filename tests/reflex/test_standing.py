"""How the reflex stands, in a file for people: whole or not at all, for its owner only, and judged by its age."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.reflex.standing import (
    STALE_AFTER,
    STANDING_FILE,
    LastShot,
    PoolStanding,
    Standing,
    StopStanding,
    read_standing,
    write_standing,
)
from tocsin.reflex.stops import Readiness

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
STANDING = Standing(
    at=NOW,
    ended=False,
    height=7,
    armed_by=("alice",),
    armed_until=NOW + timedelta(days=30),
    held_back=None,
    blocks_only="",
    pool=(PoolStanding("alder", "listening", ""), PoolStanding("birch", "off", "no WebSocket is configured")),
    stops=(StopStanding("the app prize-pot", Readiness.READY, 107, ""),),
    shots=1,
    last_shot=LastShot(NOW, "the app prize-pot", "0x" + "1" * 64, "0x" + "2" * 64, 4.25),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_standing(tmp_path, STANDING)
    write_standing(tmp_path, later := replace(STANDING, height=8))
    assert read_standing(tmp_path) == later
    assert [path.name for path in tmp_path.iterdir()] == [STANDING_FILE]
    assert stat.S_IMODE((tmp_path / STANDING_FILE).stat().st_mode) == 0o600


def test_a_leftover_of_a_crash_is_written_over(tmp_path: Path) -> None:
    leftover = tmp_path / f"{STANDING_FILE}.new"
    leftover.write_text("half a", encoding="utf-8")
    leftover.chmod(0o644)
    write_standing(tmp_path, STANDING)
    assert read_standing(tmp_path) == STANDING
    assert stat.S_IMODE((tmp_path / STANDING_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "", "half a", "[]", '{"at": "yesterday"}'])
def test_what_is_not_there_or_can_not_be_read_is_no_standing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / STANDING_FILE).write_text(content, encoding="utf-8")
    assert read_standing(tmp_path) is None


def test_a_service_stands_behind_it_while_it_is_fresh_and_has_not_ended() -> None:
    assert STANDING.serves(NOW + STALE_AFTER - timedelta(seconds=1))
    assert not STANDING.serves(NOW + STALE_AFTER)
    assert not replace(STANDING, ended=True).serves(NOW)

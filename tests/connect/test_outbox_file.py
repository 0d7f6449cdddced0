"""The outbox of break glass: held to the suite of every outbox, and to what a crash and a crowd can do to a file."""

# ruff: noqa: ASYNC220, ASYNC240  (the files are small, and nothing else runs on these loops)

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.outbox import OutboxConformance, entry
from tocsin.connect import outbox_file
from tocsin.connect.outbox_file import OUTBOX_FILE, FileOutbox, open_outbox, outbox_folders, standing_outboxes
from tocsin.connect.ports import Outbox, OutboxStatus
from tocsin.domain.errors import Refused, Unavailable

PUT_IN_A_PROCESS = """
import asyncio, sys
from pathlib import Path
from conformance.outbox import entry
from tocsin.connect.outbox_file import FileOutbox
number = int(sys.argv[2])
print(asyncio.run(FileOutbox(Path(sys.argv[1]), {"by": number}).put(entry("pause/all/1", number))).tx)
"""

HOLD_THE_LOCK = """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    input()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / OUTBOX_FILE


class TestFileOutbox(OutboxConformance):
    @pytest.fixture
    def outbox(self, file: Path) -> Outbox:
        return FileOutbox(file)


async def test_the_file_is_the_owners_alone(file: Path) -> None:
    await FileOutbox(file).put(entry("pause/all/1"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_reading_makes_no_file(file: Path) -> None:
    outbox = FileOutbox(file)
    assert await outbox.get("pause/all/1") is None
    assert list(await outbox.pages()) == []
    assert not file.exists()


async def test_what_was_said_with_an_entry_and_of_it_stays_with_it(file: Path) -> None:
    await FileOutbox(file, {"by": "alice"}).put(entry("pause/all/1"))
    later = FileOutbox(file, {"by": "bob"})
    await later.put(entry("pause/all/1", 2))
    await later.remark("pause/all/1", "result", {"outcome": "unconfirmed"})
    await later.remark("pause/all/1", "result", {"outcome": "paused"})
    (page,) = await later.pages()
    assert page.entry == entry("pause/all/1", 1)
    assert page.about == {"by": "alice"}
    assert page.remarks == {"result": {"outcome": "paused"}}


async def test_a_remark_about_nothing_is_refused(file: Path) -> None:
    with pytest.raises(Refused):
        await FileOutbox(file).remark("pause/all/1", "result", {})


async def test_a_line_that_was_never_finished_is_told_of_and_does_not_stop_the_next(file: Path) -> None:
    outbox = FileOutbox(file)
    await outbox.put(entry("pause/all/1"))
    await outbox.put(entry("pause/all/2", 2))
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    assert await outbox.get("pause/all/2") is None
    assert await outbox.damage() == ["line 2 is unfinished: whoever wrote it died meanwhile"]
    await outbox.put(entry("pause/all/2", 3))
    assert await outbox.get("pause/all/1") == entry("pause/all/1")
    assert await outbox.get("pause/all/2") == entry("pause/all/2", 3)
    assert await outbox.damage() == ["line 2 can't be read"]
    assert file.read_bytes().startswith(whole[:-30])


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"\xff\xfe", b'{"record": "put"}', b'{"record": "put", "key": "a", "tx": "no", "raw": "!"}'],
)
async def test_a_spoilt_line_is_passed_over(file: Path, line: bytes) -> None:
    outbox = FileOutbox(file)
    await outbox.put(entry("pause/all/1"))
    file.write_bytes(line + b"\n" + file.read_bytes())
    assert await outbox.get("pause/all/1") == entry("pause/all/1")
    assert await outbox.damage() == ["line 1 can't be read"]


async def test_an_entry_cut_off_at_any_byte_is_there_whole_or_not_at_all(file: Path) -> None:
    outbox = FileOutbox(file)
    await outbox.put(entry("pause/all/1"))
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert await outbox.get("pause/all/1") is None


def test_of_processes_at_once_the_first_writer_wins_for_all(file: Path) -> None:
    command = [sys.executable, "-c", PUT_IN_A_PROCESS, str(file)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    started = [
        subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True, env=environment) for n in (1, 2, 3, 4)
    ]
    told = {process.communicate(timeout=30)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0, 0]
    assert len(told) == 1
    records = [json.loads(line)["record"] for line in file.read_text().splitlines()]
    assert records == ["put"]


async def test_whoever_holds_the_file_too_long_is_reported(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Unavailable) as raised:
            await FileOutbox(file).put(entry("pause/all/1"))
        process.communicate("\n", timeout=10)
    assert raised.value.code == "outbox-busy"
    assert str(file) in raised.value.message


async def test_a_symbolic_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await FileOutbox(file).put(entry("pause/all/1"))


async def test_where_the_state_folder_can_not_be_used_the_next_place_is_taken(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    other = tmp_path / "other"
    outbox = await open_outbox((tmp_path / "state", other), {"by": "alice"})
    assert outbox.path == other / OUTBOX_FILE
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


async def test_a_public_place_that_others_may_write_to_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(Unavailable) as raised:
        await open_outbox((tmp_path / "state", open_to_all), {})
    assert raised.value.code == "no-place-for-the-outbox"
    assert str(tmp_path / "state") in raised.value.message
    assert str(open_to_all) in raised.value.message


async def test_the_server_finds_the_outboxes_of_its_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert standing_outboxes(state) == ()
    first, second, _ = outbox_folders(state)
    assert first == state
    assert second.parent != state
    outbox = await open_outbox((state,), {})
    await outbox.put(entry("pause/all/1"))
    (found,) = standing_outboxes(state)
    assert [page.entry.key for page in await found.pages()] == ["pause/all/1"]


async def test_settled_as_something_unheard_of_by_an_older_version_is_passed_over(file: Path) -> None:
    outbox = FileOutbox(file)
    await outbox.put(entry("pause/all/1"))
    with file.open("ab") as lines:
        lines.write(b'{"record": "settled", "key": "pause/all/1", "status": "eaten"}\n')
    (page,) = await outbox.pages()
    assert page.entry.status is OutboxStatus.STORED
    assert await outbox.damage() == ["line 2 can't be read"]


async def test_a_file_that_is_no_outbox_by_its_size_is_left_alone(file: Path) -> None:
    with file.open("wb") as large:
        large.truncate(outbox_file.FILE_BYTES_MAX + 1)
    with pytest.raises(Unavailable) as raised:
        await FileOutbox(file).get("pause/all/1")
    assert raised.value.code == "outbox-too-large"


async def test_readers_and_writers_at_once_see_whole_lines(file: Path) -> None:
    outbox = FileOutbox(file)

    async def write(number: int) -> None:
        await outbox.put(entry(f"pause/all/{number}", number))

    async def read() -> None:
        assert await outbox.damage() == []

    await asyncio.gather(*(each for number in range(1, 20) for each in (write(number), read())))
    assert len(await outbox.pages()) == 19

"""The leash: processes and folders end with whoever made them, in good order or by kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miniapp_platform.leash import Leash

GONE_S_MAX = 15.0
UP_S_MAX = 30.0


def wait_until_gone(pids: set[int], folder: Path) -> None:
    """Wait until none of the processes runs (an unburied zombie does not) and the folder is empty."""
    deadline = time.monotonic() + GONE_S_MAX
    while (running := pids & processes()) or list(folder.iterdir()):
        assert time.monotonic() < deadline, f"still there: processes {running}, files {list(folder.iterdir())}"
        time.sleep(0.02)


def processes(parent: int | None = None) -> set[int]:
    """Ids of all processes that are not zombies, or of one parent's."""
    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {int(pid) for pid, ppid, state in rows if state[0] != "Z" and parent in {None, int(ppid)}}


def start_program(arguments: list[str], temporary: Path) -> subprocess.Popen[str]:
    """Start a Python program whose temporary files are to appear in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_line(program: subprocess.Popen[str], beginning: str) -> str:
    assert program.stdout is not None
    for line in program.stdout:
        if line.startswith(beginning):
            return line
    assert program.stderr is not None
    pytest.fail(f"the program ended without {beginning!r}: {program.stderr.read()}")


def end(program: subprocess.Popen[str]) -> None:
    if program.poll() is None:
        program.kill()
    program.communicate(timeout=UP_S_MAX)


async def test_release_kills_what_runs_even_when_frozen_and_removes_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    leash = Leash.start()
    leash.guard(folder)
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        children = [leash.spawn(["sleep", "60"], log) for _ in range(2)]
    os.kill(children[0].pid, signal.SIGSTOP)
    assert await leash.release()
    assert [child.wait(10) for child in children] == [-signal.SIGKILL] * 2
    assert not folder.exists()
    assert not leash.running
    assert await leash.release(), "a second release does nothing"


async def test_folders_are_removed_even_when_somebody_killed_the_reaper(tmp_path: Path) -> None:
    leash = Leash.start()
    folder = tmp_path / "folder"
    leash.guard(folder)
    folder.mkdir()
    os.kill(leash.pid, signal.SIGKILL)
    assert await leash.release()
    assert not folder.exists()


CHILD_OF_A_KILLED_PARENT = """
import os, signal, sys, tempfile, time
from pathlib import Path
from miniapp_platform.leash import Leash
leash = Leash.start()
folder = Path(tempfile.gettempdir()) / "guarded"
leash.guard(folder)
folder.mkdir()
with (folder / "log").open("wb") as log:
    frozen = leash.spawn(["sleep", "60"], log)
    other = leash.spawn(["sleep", "60"], log)
os.kill(frozen.pid, signal.SIGSTOP)
print("up", leash.pid, frozen.pid, other.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_parent_killed_at_once_leaves_neither_processes_nor_folders(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = start_program(["-c", CHILD_OF_A_KILLED_PARENT], temporary)
    try:
        pids = {int(pid) for pid in wait_for_line(program, "up").split()[1:]}
        assert len(pids) == 3
        wait_until_gone(pids, temporary)
    finally:
        end(program)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_platform_whose_process_is_ended_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = start_program(["-m", "miniapp_platform", "--block-ms", "50"], temporary)
    try:
        wait_for_line(program, "folder")
        children = processes(parent=program.pid)
        assert len(children) == 4, "three nodes and the reaper"
        program.send_signal(how)
        program.wait(UP_S_MAX)
        assert program.returncode == (0 if how == signal.SIGINT else -how)
        wait_until_gone(children, temporary)
    finally:
        end(program)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_platform_ended_in_the_middle_of_its_start_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = start_program(["-m", "miniapp_platform", "--block-ms", "2000"], temporary)
    try:
        deadline = time.monotonic() + UP_S_MAX
        while not list(temporary.glob("*/nodes/*/node.log")):
            assert time.monotonic() < deadline
            assert program.poll() is None
            time.sleep(0.001)
        children = processes(parent=program.pid)
        program.send_signal(how)
        program.wait(UP_S_MAX)
        wait_until_gone(children, temporary)
    finally:
        end(program)

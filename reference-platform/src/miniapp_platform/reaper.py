"""Leaves nothing behind: a tiny process that outlives the platform's own by a moment and clears up after it.

The reaper leads a process group that the nodes join as they are started, and holds the reading end of a pipe from the
process that runs the platform. When that process ends, for whatever reason including kill -9, the pipe closes; the
reaper then kills its whole group and removes the folders that it was told of. An orderly stop takes the same way, with
nothing left to kill.

A group rather than a list of pids, for two reasons. A pid can be reused, a group that has members can't. And a child
joins between fork and exec, while it still holds the pipe's writing end, so there is no moment at which a node runs but
the reaper does not know of it. Works on Linux and macOS; standard library only, and it is run as a file, not imported.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CLEAR_AWAY_S_MAX = 3.0
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The only reason to act is that the platform's process has gone, and that may well survive a signal sent to us."""
POLL_S = 0.01


def main() -> None:
    """Wait for the end of standard input, then clear away. Each line is a JSON string: a folder to remove."""
    for ignored in IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    # A line without its end was cut short by the death of its writer, who then can't have made the folder.
    folders = [Path(json.loads(line)) for line in sys.stdin.buffer if line.endswith(b"\n")]
    group = os.getpgid(0)
    if os.fork() != 0:
        # The leader is of the group that is now killed. Its child does the killing, and leaves the group first.
        signal.pause()
    os.setsid()
    clear_away(group, folders)


def clear_away(group: int, folders: Sequence[Path]) -> None:
    """Kill the group and remove the folders, again and again until both have gone, for a bounded time.

    Killed processes may linger as zombies where nobody buries them (a container without an init), so the folders don't
    wait for the group to disappear.
    """
    deadline = time.monotonic() + CLEAR_AWAY_S_MAX
    while time.monotonic() < deadline:
        killed = kill(group)
        removed = [remove(folder) for folder in folders]
        if not killed and all(removed):
            return
        time.sleep(POLL_S)


def kill(group: int) -> bool:
    """Kill every process of a group. Returns whether there was any."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False  # macOS says "not permitted" where only zombies are left
    return True


def remove(folder: Path) -> bool:
    """Remove a folder and what is in it. Returns whether it has gone; a dying process may still be writing into it."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


if __name__ == "__main__":
    main()

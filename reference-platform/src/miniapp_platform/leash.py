"""The platform's end of the pipe to its reaper: starts it, starts processes on its leash, names folders, lets go.

What the reaper does when the pipe closes, and why that can't be outrun, stands in `reaper`.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from miniapp_platform import reaper

POLL_S = 0.005


class Leash:
    """Processes and folders that end with the process that made them, whatever ends it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._orders: IO[bytes] = process.stdin
        self._report: IO[bytes] = process.stdout
        self._folders: list[Path] = []

    @classmethod
    def start(cls) -> "Leash":
        """Start the reaper. Nothing needs to be waited for: it exists now, and so does its process group."""
        # A new process inherits what its maker blocks. Otherwise a signal could end the reaper before it ignores it:
        # a group with a stopped member is sent a SIGHUP at the very moment at which our death orphans it.
        blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, reaper.IGNORED)
        try:
            process = subprocess.Popen(
                # By path and isolated: independent of the caller's import path and working folder, and quick.
                [sys.executable, "-I", "-S", str(Path(reaper.__file__).resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)
        return cls(process)

    @property
    def pid(self) -> int:
        """The reaper's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the reaper is there."""
        return self._process.poll() is None

    def guard(self, folder: Path) -> None:
        """Have this folder removed at the end. Say so before making it, so that there is no gap.

        Raises BrokenPipeError when the reaper has gone.
        """
        self._orders.write(json.dumps(str(folder.absolute())).encode() + b"\n")
        self._orders.flush()
        self._folders.append(folder)

    def spawn(self, arguments: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a process that does not outlive the leash. Raises OSError, also when the reaper has gone."""
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=self._process.pid,
        )

    async def release(self, wait_s_max: float = reaper.CLEAR_AWAY_S_MAX + 5.0) -> bool:
        """Close the pipe, which kills what still runs and removes the folders. Returns whether it was seen in time."""
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        if self._report.closed:
            return True
        os.set_blocking(self._report.fileno(), False)
        deadline = time.monotonic() + wait_s_max
        # The reaper writes nothing: the end of its output says that the last of it has gone.
        while self._process.poll() is None or self._report.read(1) != b"":
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        self._report.close()
        # A reaper that somebody killed has removed nothing, so the last look is our own.
        removed = [reaper.remove(folder) for folder in self._folders]
        return all(removed)

"""What the tests of drills share: the drill as a script runs it, in a process of its own, watched for leftovers."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DRILL_S_MAX = 110.0


@dataclass(frozen=True)
class Drilled:
    """How a drill ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


type RunDrill = Callable[..., Drilled]


@pytest.fixture
def run_drill() -> Generator[RunDrill]:
    """Runs `tocsin COMMAND …`. `interrupt_at` are words on standard error upon which Ctrl-C is pressed.

    Its temporary folders are in a folder of its own, which must be empty afterwards, however it ended; and no process
    may be there that mentions it.
    """
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:

        def run(*arguments: str, interrupt_at: str | None = None) -> Drilled:
            command = [sys.executable, "-m", "tocsin", *arguments]
            with subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TMPDIR": folder, "COLUMNS": "80"},
            ) as process:
                said = ""
                try:
                    if interrupt_at is not None:
                        assert process.stderr is not None
                        for line in process.stderr:
                            said += line
                            if interrupt_at in line:
                                process.send_signal(signal.SIGINT)
                                break
                    out, err = process.communicate(timeout=DRILL_S_MAX)
                finally:
                    process.kill()
            return Drilled(process.returncode, out, said + err)

        yield run
        assert _processes_in(folder) == []
        assert [path.name for path in Path(folder).iterdir()] == []


def _processes_in(folder: str) -> list[str]:
    """The command lines of processes that mention the folder, as every node's does."""
    listing = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if folder in line]

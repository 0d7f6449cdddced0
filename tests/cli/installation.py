"""An installation of Tocsin on a running reference platform, worked with as people and scripts do: by command lines.

Most commands run in this process, which is quicker; `serve` is always a process of its own.
"""

import contextlib
import io
import json
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniapp_platform.platform import Platform
from tocsin.cli.main import main

READY_S_MAX = 30.0
"""How long `serve` may take to start."""
WAIT_S_MAX = 20.0


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; the test fails if it is not alone there."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that the document tells of, which stands on standard error for people too."""
        error = self.document["error"]
        assert error["message"] in self.err
        return error


def run(*arguments: object) -> Outcome:
    """Runs one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    assert "Traceback" not in err.getvalue()
    return Outcome(code, out.getvalue(), err.getvalue())


def run_process(*arguments: object, env: Mapping[str, str] | None = None) -> Outcome:
    """Runs one command as a process of its own."""
    command = [sys.executable, "-m", "tocsin", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=READY_S_MAX, env=env)
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Installation:
    """A configuration with a state folder of its own."""

    platform: Platform
    configuration: Path
    state: Path

    def run(self, *arguments: object) -> Outcome:
        """Runs one command on this installation, as alice unless it says otherwise."""
        return run(*arguments, "-c", self.configuration)

    def done(self, *arguments: object) -> Any:
        """Runs one command that must succeed; returns its JSON document."""
        outcome = self.run(*arguments, "--json")
        assert outcome.code == 0, outcome.err
        return outcome.document

    def refused(self, *arguments: object) -> Any:
        """Runs one command that must be refused; returns its error."""
        outcome = self.run(*arguments, "--json")
        assert outcome.code == 3, outcome
        assert "Refused, nothing changed" in outcome.err
        return outcome.error

    def accept(self) -> None:
        """Two people accept the runbook."""
        self.done("runbook", "accept", "--as", "alice")
        assert self.done("runbook", "accept", "--as", "bob")["complete"]

    def waiting(self, incident: str) -> Sequence[Mapping[str, Any]]:
        """What waits for people in the incident."""
        (found,) = self.done("next", incident)
        return found["waiting"]

    def until[T](self, found: Callable[[], T | None]) -> T:
        """What `found` finds, as soon as it does; each look is a command and takes its time."""
        end = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < end:
            it = found()
            if it is not None:
                return it
        raise AssertionError("it did not come about in time")

    def until_waiting(self, incident: str, kind: str) -> Mapping[str, Any]:
        """The first thing of this kind that waits for people in the incident, as soon as there is one."""
        return self.until(lambda: next((w for w in self.waiting(incident) if w["kind"] == kind), None))

    def step(self, incident: str, number: int) -> Mapping[str, Any]:
        """A step of the incident's procedure as it stands."""
        steps = self.done("incident", incident)["steps"]
        return next(step for step in steps if step["number"] == number)

    def until_step(self, incident: str, number: int, status: str) -> Mapping[str, Any]:
        """The step, as soon as it has this status."""

        def look() -> Mapping[str, Any] | None:
            step = self.step(incident, number)
            return step if step["status"] == status else None

        return self.until(look)

    def type(self, command: str) -> Outcome:
        """Types a command line as it was shown."""
        program, *arguments = shlex.split(command)
        assert program == "tocsin"
        return run(*arguments)

    @contextmanager
    def serving(self) -> Generator["Serving"]:
        """`tocsin serve`, up and watching; ended by SIGTERM if the test has not ended it."""
        command = [sys.executable, "-m", "tocsin", "serve", "--json", "-c", str(self.configuration)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        serving = Serving(process)
        try:
            serving.until_said("Watching")
            yield serving
        finally:
            serving.end()


class Serving:
    """A running `tocsin serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.said: list[str] = []

    def until_said(self, words: str) -> None:
        """Waits until a line on standard error holds these words."""
        end = time.monotonic() + READY_S_MAX
        while True:
            line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            assert line is not None, f"it ended: {self.said}"
            self.said.append(line)
            if words in line:
                return

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, float]:
        """Sends the signal; returns exit code, standard output, and how many seconds it took."""
        assert self.process.stdout is not None
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=WAIT_S_MAX)
        finally:
            self.process.kill()
        took = time.monotonic() - began
        self._reader.join()
        out = "" if self.process.stdout.closed else self.process.stdout.read()
        self.process.stdout.close()
        while not self._lines.empty():
            line = self._lines.get_nowait()
            self.said += [] if line is None else [line]
        return code, out, took

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

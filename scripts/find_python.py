"""Finds a Python that Tocsin can run on: uv's, the system's, pyenv's, and as a last resort one that uv downloads.

Part of the set-up, so under the same terms as ``bootstrap.py``: any Python from 3.8 on, standard library only. Where to
look is told apart from what will do: a candidate counts only once it has run and shown its version and modules, since a
version manager's shim may stand on the PATH and refuse. Making environments from what is found is ``bootstrap.py``'s.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PYTHON_MIN = (3, 13)
PYTHON_BELOW = (3, 15)  # the chain library's compiled half (neo3crypto) has no wheels from there on
PYTHON_PREFERRED = ("3.13", "3.14")
PROBE_S_MAX = 20
INSTALL_S_MAX = 900

# Printed by a candidate interpreter. A hand-built Python may lack the modules that need system libraries: better said
# now than in an import error later.
PROBE = """
import importlib, json, platform, sys, sysconfig
missing = []
for name in ("ctypes", "sqlite3", "ssl"):
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(json.dumps({
    "executable": sys.executable,
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "missing": missing,
}))
"""


class SetupError(Exception):
    """Set-up can't go on; the text says what was tried and what to do."""


class Candidate(NamedTuple):
    """An interpreter that may do, and where the idea came from."""

    origin: str
    path: str


def say(text: str) -> None:
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def capture(
    command: Sequence[str], environ: Mapping[str, str], cwd: Path, timeout_s: float = PROBE_S_MAX
) -> tuple[str | None, str]:
    """Standard output of a command that succeeded, else None and the first line of why not."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=dict(environ),
            cwd=str(cwd),
            check=False,
        )
    except OSError as error:
        return None, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {timeout_s:.0f} s"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return None, lines[0] if lines else f"exit code {done.returncode}"


def uv_candidates(uv: str, environ: Mapping[str, str], root: Path) -> Iterator[Candidate]:
    for request in PYTHON_PREFERRED:
        find = [uv, "python", "find", "--system", "--no-project", "--no-python-downloads", request]
        answer, _ = capture(find, environ, root)
        if answer:
            yield Candidate(f"uv python find {request}", answer)


def path_candidates(environ: Mapping[str, str]) -> Iterator[Candidate]:
    for name in (*(f"python{version}" for version in PYTHON_PREFERRED), "python3", "python"):
        path = shutil.which(name, path=environ.get("PATH", ""))
        if path:
            yield Candidate(f"{name} on the PATH", path)


def pyenv_candidates(environ: Mapping[str, str]) -> Iterator[Candidate]:
    """Interpreters in pyenv's folders: its shims refuse to run a version that no .python-version file names exactly."""
    shims = [Path(entry).parent for entry in environ.get("PATH", "").split(os.pathsep) if Path(entry).name == "shims"]
    named = [Path(environ["PYENV_ROOT"])] if environ.get("PYENV_ROOT") else []
    home = [Path(environ["HOME"]) / ".pyenv"] if environ.get("HOME") else []
    for root in dict.fromkeys([*named, *shims, *home]):
        for preferred in PYTHON_PREFERRED:
            folders = [path for path in root.glob(f"versions/{preferred}*") if re.match(r"3\.\d+(\.\d+)?$", path.name)]
            for folder in sorted(folders, key=lambda path: [int(part) for part in path.name.split(".")], reverse=True):
                yield Candidate(f"pyenv in {root}", str(folder / "bin" / "python3"))


def downloaded_candidates(uv: str, environ: Mapping[str, str], root: Path) -> Iterator[Candidate]:
    """The last resort, and so evaluated last: uv fetches a Python of its own."""
    version = PYTHON_PREFERRED[0]
    say(f"no suitable Python here: asking uv to download {version}")
    done, reason = capture([uv, "python", "install", "--no-bin", version], environ, root, timeout_s=INSTALL_S_MAX)
    find = [uv, "python", "find", "--managed-python", "--no-project", "--no-python-downloads", version]
    path = capture(find, environ, root)[0] if done is not None else None
    if path:
        yield Candidate(f"uv python install {version}", path)
    else:
        say(f"that failed: {reason or 'nothing was installed'}")


def unsuitable_because(path: str, environ: Mapping[str, str], root: Path) -> tuple[str | None, str]:
    """The interpreter behind `path` (past any shim) and an empty text, or None and why Tocsin can't run on it."""
    answer, reason = capture([path, "-c", PROBE], environ, root)
    if answer is None:
        return None, f"does not run: {reason}"
    try:
        facts = json.loads(answer.splitlines()[-1])
        version = tuple(facts["version"])
    except (ValueError, LookupError, TypeError):
        return None, "does not answer like a Python"
    shown = ".".join(str(part) for part in version)
    if version < PYTHON_MIN:
        return None, f"is Python {shown}"
    if version >= PYTHON_BELOW:
        return None, f"is Python {shown}: newer than the locked packages have wheels for"
    if facts["implementation"] != "CPython" or facts["free_threaded"]:
        kind = "free-threaded " if facts["free_threaded"] else ""
        return None, f"is {kind}{facts['implementation']} {shown}: the locked packages have no wheels for it"
    if facts["missing"]:
        return None, f"is Python {shown}, but was built without {', '.join(facts['missing'])}"
    return str(facts["executable"]), ""


def choose_python(candidates: Iterable[Candidate], environ: Mapping[str, str], root: Path) -> str:
    """The first suitable interpreter, past any shim; raises SetupError that tells of all that were tried."""
    tried: dict[str, str] = {}
    for candidate in candidates:
        if candidate.path in tried:
            continue
        executable, reason = unsuitable_because(candidate.path, environ, root)
        if executable is not None:
            return executable
        tried[candidate.path] = f"{candidate.path} ({candidate.origin}) {reason}"
    wanted = ".".join(str(part) for part in PYTHON_MIN)
    listed = "".join(f"\n  - {line}" for line in tried.values()) or "\n  - nothing that looks like a Python"
    raise SetupError(
        f"found no Python that Tocsin can run on ({' or '.join(PYTHON_PREFERRED)}). Tried:{listed}\n"
        f"  Install one (uv python install {wanted}; pyenv install {wanted}; your system's package), call make again,\n"
        "  or name one: make setup TOCSIN_PYTHON=/path/to/python3.13"
    )


def python_candidates(uv: str, environ: Mapping[str, str], root: Path) -> Iterator[Candidate]:
    """All the places, cheapest and most likely first; lazily, since the last one downloads."""
    named = environ.get("TOCSIN_PYTHON")
    if named:
        yield Candidate("TOCSIN_PYTHON", shutil.which(named, path=environ.get("PATH", "")) or named)
        return
    yield from uv_candidates(uv, environ, root)
    yield from path_candidates(environ)
    yield from pyenv_candidates(environ)
    yield from downloaded_candidates(uv, environ, root)

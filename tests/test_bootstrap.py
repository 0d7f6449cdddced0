"""The set-up's search for an interpreter, on stand-in executables, and what must hold for the lock files."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap import VirtualEnvironment, clean_environ, find_uv, with_index_of_pip
from find_python import Candidate, SetupError, choose_python, path_candidates, pyenv_candidates

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements/main.txt", "requirements/dev.txt", "requirements/tools.txt"]

Install = Callable[..., str]


@pytest.fixture
def environ() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Writes an executable that answers the probe as the interpreter described would; returns its path."""

    def write(
        name: str,
        version: tuple[int, int, int],
        *,
        implementation: str = "CPython",
        free_threaded: bool = False,
        missing: tuple[str, ...] = (),
    ) -> str:
        path = tmp_path / name
        facts = {
            "executable": f"/real/{name}",
            "version": version,
            "implementation": implementation,
            "free_threaded": free_threaded,
            "missing": missing,
        }
        return script(path, f"echo '{json.dumps(facts)}'")

    return write


def script(path: Path, *lines: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def test_the_first_suitable_interpreter_wins_and_is_named_past_its_shim(
    install: Install, environ: dict[str, str], tmp_path: Path
) -> None:
    old, good, later = install("a", (3, 12, 9)), install("b c/python3", (3, 13, 1)), install("d", (3, 14, 0))
    candidates = [Candidate("test", path) for path in (old, good, later)]
    assert choose_python(candidates, environ, tmp_path) == "/real/b c/python3"


def test_candidates_after_the_first_suitable_one_are_not_even_asked_for(
    install: Install, environ: dict[str, str], tmp_path: Path
) -> None:
    asked: list[str] = []

    def candidates():
        for name in ("here", "download"):
            asked.append(name)
            yield Candidate(name, install(name, (3, 13, 0)))

    choose_python(candidates(), environ, tmp_path)
    assert asked == ["here"]


def test_without_a_suitable_interpreter_the_message_says_what_each_lacked(
    install: Install, environ: dict[str, str], tmp_path: Path
) -> None:
    shim = script(tmp_path / "shim", "echo 'pyenv: python3.13: command not found' >&2", "exit 127")
    paths = [
        install("old", (3, 11, 2)),
        install("new", (3, 15, 0)),
        install("free", (3, 13, 0), free_threaded=True),
        install("pypy", (3, 13, 0), implementation="PyPy"),
        install("bare", (3, 13, 0), missing=("sqlite3", "ssl")),
        shim,
        script(tmp_path / "chatty", "echo hello"),
        str(tmp_path / "absent"),
    ]
    with pytest.raises(SetupError) as caught:
        choose_python([Candidate("test", path) for path in paths], environ, tmp_path)
    message = str(caught.value)
    for reason in (
        "old (test) is Python 3.11.2",
        "new (test) is Python 3.15.0: newer than",
        "free (test) is free-threaded CPython 3.13.0",
        "pypy (test) is PyPy 3.13.0",
        "bare (test) is Python 3.13.0, but was built without sqlite3, ssl",
        "shim (test) does not run: pyenv: python3.13: command not found",
        "chatty (test) does not answer like a Python",
        "absent (test) does not run: No such file or directory",
        "TOCSIN_PYTHON=",
    ):
        assert reason in message


def test_pyenv_is_found_through_its_shims_when_no_variable_names_it(install: Install, tmp_path: Path) -> None:
    for version in ("3.12.1", "3.13.2", "3.13.10", "3.13t-dev", "3.14.0", "2.7.18"):
        install(f"pyenv/versions/{version}/bin/python3", (3, 13, 0))
    environ = {"PATH": os.pathsep.join([str(tmp_path / "pyenv" / "shims"), "/bin"]), "HOME": str(tmp_path / "nobody")}
    found = [Path(candidate.path).parts[-3] for candidate in pyenv_candidates(environ)]
    assert found == ["3.13.10", "3.13.2", "3.14.0"]


def test_the_path_is_searched_for_the_preferred_version_first(install: Install, tmp_path: Path) -> None:
    for name in ("python3", "python3.13", "python3.14"):
        install(f"bin/{name}", (3, 13, 0))
    found = [Path(candidate.path).name for candidate in path_candidates({"PATH": str(tmp_path / "bin")})]
    assert found == ["python3.13", "python3.14", "python3"]


def test_a_uv_that_does_not_run_or_is_too_old_is_passed_over_for_the_projects_own(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path / "bin")}
    script(tmp_path / "bin" / "uv", "exit 127")
    assert find_uv(environ, tmp_path) is None
    script(tmp_path / "bin" / "uv", "echo 'uv 0.4.9 (abc)'")
    own = script(tmp_path / ".venv-tools" / "bin" / "uv", "echo 'uv 0.13.9'")
    assert find_uv(environ, tmp_path) == own
    on_path = script(tmp_path / "bin" / "uv", "echo 'uv 1.0.0'")
    assert find_uv(environ, tmp_path) == on_path


def test_an_active_environment_does_not_leak_into_the_set_up() -> None:
    kept = clean_environ({"VIRTUAL_ENV": "/x", "PYTHONPATH": "/y", "UV_PYTHON": "3.9", "PIP_USER": "1", "LANG": "C"})
    assert kept["LANG"] == "C"
    assert kept["PIP_USER"] == "0"
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "UV_PYTHON"} & set(kept)


def test_uv_is_told_of_pips_mirror_unless_it_has_one_of_its_own() -> None:
    pip_only = {"PIP_INDEX_URL": "https://mirror.example/simple"}
    assert with_index_of_pip(pip_only)["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    both = {**pip_only, "UV_INDEX_URL": "https://other.example/simple"}
    assert with_index_of_pip(both) == both


def test_an_environment_is_current_until_an_input_or_its_place_changes(tmp_path: Path) -> None:
    root = tmp_path / "with a space"
    environment = VirtualEnvironment(".venv", "requirements/dev.txt", (".",))
    for name in ("requirements/dev.txt", "pyproject.toml", "scripts/bootstrap.py", ".venv/bin/python"):
        script(root / name)
    assert not environment.is_current(root)
    environment.write_stamp(root)  # as an interrupted build leaves it
    assert not environment.is_current(root)
    environment.write_stamp(root, environment.fingerprint(root))
    assert environment.is_current(root)
    assert not environment.is_current(root.rename(tmp_path / "moved"))
    root = (tmp_path / "moved").rename(root)
    script(root / "pyproject.toml", "# another dependency")
    assert not environment.is_current(root)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_hold_hashes_and_name_no_package_index(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    pins = re.findall(r"^[a-z0-9].*$", text, flags=re.MULTILINE)
    hashed = re.findall(r"^[a-z0-9].*==.* \\\n    --hash=sha256:", text, flags=re.MULTILINE)
    assert len(pins) == len(hashed) > 0

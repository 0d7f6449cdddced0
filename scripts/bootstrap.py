"""Builds the project's virtual environments from the lock files, on a machine that may have nothing but some Python 3.

Runs under any Python from 3.8 on, with the standard library only, and is what every ``make`` target that needs an
environment calls first. It finds uv (or installs a locked one into ``.venv-tools``), finds a Python that Tocsin can
run on, and lets uv install exactly what ``requirements/`` names, hash by hash. A stamp in each environment remembers
what it was built from, so a second call reads a few files and downloads nothing. What to install is decided in
``pyproject.toml`` and written down by ``make lock`` (``bootstrap.py lock``); tests and checks are the Makefile's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from find_python import (
    INSTALL_S_MAX,
    PYTHON_PREFERRED,
    SetupError,
    capture,
    choose_python,
    python_candidates,
    say,
    unsuitable_because,
)

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".built-from"

UV_MIN = (0, 8)  # the oldest that was tried with everything used here

# Where distributions keep the certificates that the machine's owner trusts, a company's own included; uv has a list of
# its own otherwise.
SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True)
class VirtualEnvironment:
    """An environment of the project: where it stands, its lock file, the projects installed editable."""

    folder: str
    lock: str
    projects: tuple[str, ...] = ()

    def python(self, root: Path) -> Path:
        return root / self.folder / "bin" / "python"

    def fingerprint(self, root: Path) -> str:
        """Digest of all that an environment is built from."""
        inputs = [self.lock, *(f"{project}/pyproject.toml" for project in self.projects), "scripts/bootstrap.py"]
        digest = hashlib.sha256()
        for name in inputs:
            try:
                content = (root / name).read_bytes()
            except OSError as error:
                raise SetupError(f"{name} can't be read: {error.strerror}") from error
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()

    def stamp(self, root: Path) -> Path:
        return root / self.folder / STAMP

    def stamped(self, root: Path) -> list[str]:
        """What the stamp says: the place it was built in and, once the build had ended, its fingerprint."""
        try:
            return self.stamp(root).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []

    def is_current(self, root: Path) -> bool:
        # os.access follows the link to the base interpreter, which may have been uninstalled since.
        return self.stamped(root) == [str(root), self.fingerprint(root)] and os.access(str(self.python(root)), os.X_OK)

    def write_stamp(self, root: Path, *fingerprint: str) -> None:
        lines = "".join(f"{line}\n" for line in (root, *fingerprint))
        self.stamp(root).write_text(lines, encoding="utf-8", errors="surrogateescape")


ENVIRONMENTS: dict[str, VirtualEnvironment] = {
    "main": VirtualEnvironment(".venv", "requirements/dev.txt", (".", "reference-platform")),
    # The contract compiler pins versions that Tocsin should not be held to.
    "contracts": VirtualEnvironment(
        "reference-platform/contracts/.venv", "reference-platform/contracts/requirements.txt"
    ),
}


def run(command: Sequence[str], environ: Mapping[str, str], cwd: Path, what: str) -> None:
    """Runs a command whose messages people should see; raises SetupError when it fails."""
    try:
        code = subprocess.call(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=dict(environ),
            cwd=str(cwd),
            timeout=INSTALL_S_MAX,
        )
    except OSError as error:
        raise SetupError(f"{what} failed: {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{what} did not end within {INSTALL_S_MAX} s") from error
    if code != 0:
        raise SetupError(f"{what} failed (exit code {code}); the reason stands above")


def clean_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables without those that point Python, pip or uv at another environment than the one named."""
    foreign = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"}
    kept = {name: value for name, value in environ.items() if name not in foreign}
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0", PIP_USER="0")
    if any(Path(path).exists() for path in SYSTEM_CERTIFICATES):
        kept.setdefault("UV_SYSTEM_CERTS", "1")
        kept.setdefault("UV_NATIVE_TLS", "1")  # its name in older releases of uv
    return kept


def with_index_of_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Adds the package index that pip is configured for: behind a mirror often only pip knows it."""
    settled = dict(environ)
    if any(name in environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        return settled
    index = (
        environ.get("PIP_INDEX_URL")
        or capture([sys.executable, "-m", "pip", "config", "get", "global.index-url"], environ, ROOT)[0]
    )
    if index:
        settled["UV_DEFAULT_INDEX"] = index
    return settled


# --- uv


def uv_version(path: str, environ: Mapping[str, str], root: Path) -> tuple[int, int] | None:
    """Version of a uv that really runs; a version manager's shim may stand on the PATH and not."""
    answer, _ = capture([path, "--version"], environ, root)
    found = re.match(r"uv (\d+)\.(\d+)", answer or "")
    return (int(found.group(1)), int(found.group(2))) if found else None


def find_uv(environ: Mapping[str, str], root: Path) -> str | None:
    on_path = shutil.which("uv", path=environ.get("PATH", ""))
    own = [str(root / ".venv-tools" / folder / "uv") for folder in ("bin", "packages/bin")]
    for path in [*([on_path] if on_path else []), *own]:
        version = uv_version(path, environ, root)
        if version is not None and version >= UV_MIN:
            return path
    return None


def install_uv(environ: Mapping[str, str], root: Path) -> str:
    """Installs the locked uv into .venv-tools, without touching anything outside the project."""
    say("no usable uv on the PATH: installing one into .venv-tools")
    tools = root / ".venv-tools"
    shutil.rmtree(str(tools), ignore_errors=True)
    pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", "requirements/tools.txt"]
    made, reason = capture([sys.executable, "-m", "venv", str(tools)], environ, root, timeout_s=INSTALL_S_MAX)
    if made is not None:
        run([str(tools / "bin" / "python"), *pip], environ, root, "installing uv with pip")
    else:
        # Debian and its children split venv off; pip alone will do.
        shutil.rmtree(str(tools), ignore_errors=True)
        if capture([sys.executable, "-m", "pip", "--version"], environ, root)[0] is None:
            raise SetupError(
                f"{sys.executable} has neither a working venv ({reason or 'python -m venv failed'}) nor pip.\n"
                "  Install one of them (Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3-pip),\n"
                "  or install uv yourself: https://docs.astral.sh/uv/getting-started/installation/"
            )
        run([sys.executable, *pip, "--target", str(tools / "packages")], environ, root, "installing uv with pip")
    uv = find_uv(environ, root)
    if uv is None:
        raise SetupError(f"pip installed uv into {tools}, but it does not run there")
    return uv


# --- what the Makefile asks for


def build(environment: VirtualEnvironment, uv: str, environ: Mapping[str, str], root: Path) -> None:
    """Makes the environment hold exactly what is locked; stamped last, so that an interrupted build is done again."""
    fingerprint = environment.fingerprint(root)
    folder, python = root / environment.folder, str(environment.python(root))
    in_place = environment.stamped(root)[:1] == [str(root)]  # scripts in a folder that was moved call the old one
    if not in_place or environ.get("TOCSIN_PYTHON") or unsuitable_because(python, environ, root)[0] is None:
        base = choose_python(python_candidates(uv, environ, root), environ, root)
        say(f"{environment.folder} with {base}")
        make = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", base, str(folder)]
        run(make, environ, root, f"making {environment.folder}")
    environment.write_stamp(root)
    say(f"{environment.folder} from {environment.lock}")
    # --no-build: what has no wheel would be built with unlocked tools.
    # --compile-bytecode: where Python may not write byte code itself, every `tocsin` would compile all of this anew.
    options = ["--quiet", "--no-build", "--compile-bytecode", "--require-hashes", "--python", python]
    sync = [uv, "pip", "sync", *options, environment.lock]
    # uv asks the index again about what its cache may hold already; with a full cache that can be spared.
    if capture([*sync, "--offline"], environ, root, timeout_s=INSTALL_S_MAX)[0] is None:
        run(sync, environ, root, f"installing {environment.lock}")
    if environment.projects:
        editable = [part for project in environment.projects for part in ("--editable", str(root / project))]
        install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
        run([*install, "--python", python, *editable], environ, root, "installing the project")
    environment.write_stamp(root, fingerprint)


def set_up(names: Sequence[str], environ: Mapping[str, str], root: Path) -> None:
    stale = [ENVIRONMENTS[name] for name in names if not ENVIRONMENTS[name].is_current(root)]
    if not stale:
        return
    environ = clean_environ(environ)
    uv = find_uv(environ, root) or install_uv(environ, root)
    environ = with_index_of_pip(environ)
    for environment in stale:
        build(environment, uv, environ, root)
    say("ready")


def lock(upgrade: bool, environ: Mapping[str, str], root: Path) -> None:
    """Writes the lock files anew, keeping the versions in them unless asked to upgrade."""
    environ = clean_environ(environ)
    uv = find_uv(environ, root) or install_uv(environ, root)
    environ = with_index_of_pip(environ)
    python = choose_python(python_candidates(uv, environ, root), environ, root)
    compile_ = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python", python]
    compile_ += ["--no-python-downloads", "--custom-compile-command", "make lock", *(["--upgrade"] if upgrade else [])]
    main, dev = "requirements/main.txt", "requirements/dev.txt"
    sources = [
        "pyproject.toml",
        "reference-platform/pyproject.toml",
        "--extra",
        "drill",
        "--group",
        "pyproject.toml:dev",
    ]
    contracts = ENVIRONMENTS["contracts"].lock
    wanted = [
        ("requirements/tools.txt", ["--python-version", "3.8", "requirements/tools.in"]),
        (main, ["--python-version", PYTHON_PREFERRED[0], "pyproject.toml"]),
        (dev, ["--python-version", PYTHON_PREFERRED[0], *sources, "--constraint", main]),
        (contracts, ["--python-version", PYTHON_PREFERRED[0], contracts.replace(".txt", ".in")]),
    ]
    for output, arguments in wanted:
        say(output)
        run([*compile_, "--output-file", output, *arguments], environ, root, f"locking {output}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Build the virtual environments, or write their lock files anew.")
    doors = parser.add_subparsers(dest="door", metavar="setup|lock")
    setup = doors.add_parser("setup", help="build what is missing or out of date")
    setup.add_argument("names", nargs="*", metavar="ENVIRONMENT", help=f"of {', '.join(ENVIRONMENTS)} (default: all)")
    locking = doors.add_parser("lock", help="write the lock files anew")
    locking.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    given = parser.parse_args(arguments)
    names = getattr(given, "names", None) or list(ENVIRONMENTS)
    if not set(names) <= set(ENVIRONMENTS):
        parser.error(f"no such environment: {', '.join(sorted(set(names) - set(ENVIRONMENTS)))}")
    try:
        if given.door == "lock":
            lock(given.upgrade, os.environ, ROOT)
        else:
            set_up(names, os.environ, ROOT)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; call it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

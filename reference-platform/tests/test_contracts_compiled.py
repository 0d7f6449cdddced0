"""The committed contracts are what the sources compile to, byte for byte."""

import json
import os
import subprocess
from pathlib import Path
from typing import cast

import pytest

from deployed_contracts import ARTIFACTS

CONTRACTS = Path(__file__).parent.parent / "contracts"
COMPILE_S_MAX = 120


def compiler() -> Path:
    """The Python of the contract compiler's own environment."""
    return Path(os.environ.get("MINIAPP_CONTRACTS_PYTHON") or CONTRACTS / ".venv" / "bin" / "python")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = compiler()
    if not python.exists():
        pytest.skip(f"no contract compiler: {python} does not exist; `make setup` makes it")
    folder = tmp_path_factory.mktemp("compiled")
    command = [str(python), str(CONTRACTS / "build.py"), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S_MAX, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_committed_files_are_the_compiled_ones_and_no_others(compiled: Path) -> None:
    assert sorted(file.name for file in ARTIFACTS.iterdir()) == sorted(file.name for file in compiled.iterdir())


@pytest.mark.parametrize("nef", sorted(ARTIFACTS.glob("*.nef")), ids=lambda file: cast(Path, file).name)
def test_a_recompiled_contract_has_the_same_code(compiled: Path, nef: Path) -> None:
    assert (compiled / nef.name).read_bytes() == nef.read_bytes()


@pytest.mark.parametrize("manifest", sorted(ARTIFACTS.glob("*.json")), ids=lambda file: cast(Path, file).name)
def test_a_recompiled_contract_has_the_same_manifest(compiled: Path, manifest: Path) -> None:
    recompiled = json.loads((compiled / manifest.name).read_text(encoding="utf-8"))
    assert recompiled == json.loads(manifest.read_text(encoding="utf-8"))


@pytest.mark.parametrize("manifest", sorted(ARTIFACTS.glob("*.json")), ids=lambda file: cast(Path, file).name)
def test_no_contract_may_call_whatever_it_likes(manifest: Path) -> None:
    permissions = json.loads(manifest.read_text(encoding="utf-8"))["permissions"]

    assert permissions
    assert all(permission["contract"] != "*" and permission["methods"] != "*" for permission in permissions)

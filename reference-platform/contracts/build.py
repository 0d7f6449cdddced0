"""Compile the platform's contracts to NEF and manifest, the same bytes every time and everywhere.

    python build.py [--out DIR]

runs with this project's own Python (the compiler pins libraries that the platform must not be tied to). Without --out
the files go where the platform reads them, and are committed. Deploying them is the platform's business.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

CONTRACTS = ("gas_bank", "mini_app", "pause_registry", "payment_hub", "vulnerable_app")
HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
ARTIFACTS = HERE.parent / "src" / "miniapp_platform" / "artifacts"


class Named(TypedDict):
    name: str


class Permission(TypedDict):
    contract: str
    methods: list[str] | str


class Abi(TypedDict):
    methods: list[Named]
    events: list[Named]


class Manifest(TypedDict):
    """The parts of a contract manifest that are put in order here; the others pass through as they are."""

    abi: Abi
    permissions: list[Permission]


def build(out: Path) -> None:
    """Compile every contract into `out`, as NAME.nef and NAME.manifest.json, and nothing else.

    Raises the compiler's own errors; then nothing was written.
    """
    # The compiler writes the commit of whatever git repository it is called from into the NEF, and so into the
    # contract's hash, and dies where the environment names a locale that is not installed. Both happen on import.
    os.environ["GIT_DIR"] = os.devnull
    os.environ["LC_ALL"] = "C"
    from boa3.boa3 import Boa3  # pyright: ignore[reportMissingTypeStubs]

    with tempfile.TemporaryDirectory() as scratch:
        for name in CONTRACTS:
            nef = Path(scratch) / f"{name}.nef"
            Boa3.compile_and_save(  # pyright: ignore[reportUnknownMemberType]
                str(SOURCES / f"{name}.py"), output_path=str(nef), root_folder=str(SOURCES)
            )
        out.mkdir(parents=True, exist_ok=True)
        for name in CONTRACTS:
            manifest = (Path(scratch) / f"{name}.manifest.json").read_text(encoding="utf-8")
            (out / f"{name}.nef").write_bytes((Path(scratch) / f"{name}.nef").read_bytes())
            (out / f"{name}.manifest.json").write_text(in_order(manifest), encoding="utf-8")


def in_order(manifest_text: str) -> str:
    """The manifest with events, permitted methods and unions of types sorted: the compiler keeps them in no order."""
    manifest = cast(Manifest, json.loads(manifest_text, object_hook=_with_union_in_order))
    manifest["abi"]["events"].sort(key=lambda event: event["name"])
    for permission in manifest["permissions"]:
        if isinstance(permission["methods"], list):
            permission["methods"].sort()
    manifest["permissions"].sort(key=lambda permission: permission["contract"])
    return json.dumps(manifest, indent=2) + "\n"


def _with_union_in_order(part: dict[str, object]) -> dict[str, object]:
    """A part of the manifest; a parameter of several types lists them as they lay in the compiler's memory."""
    union = cast("list[dict[str, str]] | None", part.get("union"))
    if union is not None:
        union.sort(key=lambda kind: kind["type"])
    return part


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Compile the platform's contracts.")
    parser.add_argument("--out", type=Path, default=ARTIFACTS, help="folder to write to (default: %(default)s)")
    options = parser.parse_args(arguments)
    build(cast(Path, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

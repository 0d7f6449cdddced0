"""The documentation against what it speaks of: links, command lines, Make targets, the changelog, the reference."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cyclopts import App

from pages.commands import leaves
from pages.configuration import unexplained
from tocsin.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "reference-platform" / "README.md", *ROOT.glob("docs/**/*.md")])
GENERATED = ROOT / "docs" / "reference"

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_TYPED = re.compile(r"^\s*\$ (?:\S*/)?(?P<line>tocsin .*)$", re.MULTILINE)
_MENTIONED = re.compile(r"`(?P<line>tocsin [^`]+)`")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [target for target in _relative_links(page) if not _leads_somewhere(page, target)]
    assert not broken


def _relative_links(page: Path) -> Iterator[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.finditer(text):
        if "://" not in link["target"] and not link["target"].startswith("mailto:"):
            yield link["target"]


def _leads_somewhere(page: Path, target: str) -> bool:
    file, _, anchor = target.partition("#")
    path = page.parent / file if file else page
    if not path.exists():
        return False
    return not anchor or (path.suffix == ".md" and anchor in _anchors(path))


@cache
def _anchors(path: Path) -> frozenset[str]:
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-") for heading in _HEADING.finditer(text)
    )


@cache
def _commands() -> dict[tuple[str, ...], App]:
    return dict(leaves(app))


def _lines(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for page in PAGES:
        if page.parent != GENERATED:
            text = page.read_text(encoding="utf-8")
            searched = text if pattern is _TYPED else _FENCE.sub("", text)
            for line in pattern.finditer(searched):
                found.add((_name(page), line["line"].split(" > ")[0].split("  #")[0].strip()))
    return sorted(found)


@pytest.mark.parametrize(("page", "line"), _lines(_TYPED))
def test_every_command_line_that_is_to_be_typed_can_be_parsed(page: str, line: str) -> None:
    app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("page", "line"), _lines(_MENTIONED))
def test_every_command_that_is_mentioned_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    path = _command_at_the_head(words)
    if path not in _commands():
        assert len(path) == len(words) or "…" in words[len(path)], f"{' '.join(path)} has no such command"
        return
    options = {option for argument in _commands()[path].assemble_argument_collection() for option in argument.names}
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= options


def _command_at_the_head(words: list[str]) -> tuple[str, ...]:
    """The longest beginning of the words that names a command or a group of commands."""
    known = {path[:length] for path in _commands() for length in range(1, len(path) + 1)}
    fitting = [tuple(words[:length]) for length in range(1, len(words) + 1) if tuple(words[:length]) in known]
    assert fitting, f"tocsin has no such command: {words}"
    return fitting[-1]


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^\$ make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert named == ["demo", "test"]
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_make_target_of_the_pages_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        mentioned = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
        assert mentioned <= targets, _name(page)


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_reference_is_the_same_however_often_it_is_made() -> None:
    made = {_reference_made_with(hash_seed) for hash_seed in ("1", "2")}
    assert len(made) == 1


def _reference_made_with(hash_seed: str) -> str:
    program = "import json, reference; print(json.dumps(reference.pages()))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "scripts")}
    made = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return made.stdout


def test_every_key_of_the_configuration_is_explained() -> None:
    assert not unexplained()

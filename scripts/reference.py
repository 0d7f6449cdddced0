"""Writes docs/reference/: commands, configuration, errors and events, read from the code, so that they can't rot.

`python scripts/reference.py` writes the pages, `--check` only says which of them no longer match the code (exit code 1;
`make check` asks this). What a page says stands in the code: help texts, docstrings, types. Errors are read from the
sources without running them; the others from the objects themselves.
"""

import difflib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pages.commands import commands
from pages.configuration import configuration
from pages.errors import errors
from pages.events import events

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py from the code: change the code, then run it again. -->"


def main() -> int:
    """Writes the pages, or with `--check` shows how they differ; 1 if they do."""
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: reference.py [--check]", file=sys.stderr)
        return 2
    checking = sys.argv[1:] == ["--check"]
    stale = False
    for name, page in pages().items():
        path = PAGES / name
        standing = path.read_text(encoding="utf-8") if path.is_file() else ""
        if page == standing:
            continue
        shown = str(path.relative_to(ROOT))
        if checking:
            stale = True
            print("\n".join(difflib.unified_diff(standing.splitlines(), page.splitlines(), shown, "the code", n=1)))
        else:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
            print(f"written: {shown}")
    if stale:
        print("\nThe reference does not match the code: run `.venv/bin/python scripts/reference.py`.", file=sys.stderr)
    return int(stale)


def pages() -> dict[str, str]:
    """Every page of the reference by its file name."""
    return {
        "README.md": _page("Reference", _index()),
        "cli.md": _page("Commands", commands()),
        "configuration.md": _page("Configuration", configuration()),
        "errors.md": _page("Errors", errors(ROOT / "src" / "tocsin")),
        "events.md": _page("Events", events()),
    }


def _page(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", NOTE, "", *lines]).rstrip() + "\n"


def _index() -> Iterator[str]:
    yield "Written from the code; `make check` says when a page no longer matches it."
    yield ""
    yield "- [Commands](cli.md): arguments, options, exit codes"
    yield "- [Configuration](configuration.md): every key of `tocsin.toml`"
    yield "- [Errors](errors.md): every code, and whether anything changed"
    yield "- [Events](events.md): what stands in the event log"


if __name__ == "__main__":
    sys.exit(main())

"""Reads a runbook from a file. The only place in this room that touches the disk; compile.py does the work."""

from pathlib import Path

from tocsin.domain.errors import ConfigurationInvalid
from tocsin.runbook.compile import RUNBOOK_BYTES_MAX, compile_runbook
from tocsin.runbook.model import Runbook


def read_runbook(path: Path) -> Runbook:
    """Reads and compiles a runbook, of which no more than `RUNBOOK_BYTES_MAX` bytes are read.

    Raises:
        ConfigurationInvalid: there is no such file, it can't be read, or it can't be compiled.
    """
    try:
        if not path.is_file():  # a pipe or device could keep us waiting for ever
            what = "it is no regular file" if path.exists() else "there is no such file"
            raise _unreadable(path, what)
        with path.open("rb") as file:
            content = file.read(RUNBOOK_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    return compile_runbook(content, str(path))


def _unreadable(path: Path, why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        "runbook-unreadable",
        f"the runbook {path} can't be read: {why}",
        next_step="name a Markdown file that you may read",
        data={"file": str(path)},
    )

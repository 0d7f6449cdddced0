"""What goes wrong with the database, in the words of the domain: once, at the edge, with the cause kept.

Only troubles that an operator can mend are translated. A broken constraint or a faulty statement is a fault of our own
and passes through as it is.
"""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import exc

from tocsin.domain.errors import Unavailable

_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes carry the primary one in their lowest byte."""

_BUSY = (
    "store-busy",
    "another process has kept the store locked for too long",
    "see whether a tocsin process hangs (`fuser` on the store's file names it), end it, and try again",
)
_FULL = ("store-disk-full", "the disk that holds the store is full", "free some space and try again")
_CORRUPT = (
    "store-corrupt",
    "the store's file is damaged or is no SQLite database",
    "stop all tocsin processes, keep a copy of the file, and restore the latest backup",
)
_UNWRITABLE = (
    "store-not-accessible",
    "the store's file can't be opened, read or written",
    "see that its folder exists, belongs to this user and lies on a local, healthy disk",
)
_OTHER = ("store-failed", "the store failed", "try again; if it stays, look at the store's file")

_BY_CODE = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_NOTADB: _CORRUPT,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_IOERR: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
}


def busy(reason: str) -> Unavailable:
    """Waiting for the store took longer than it may."""
    code, message, next_step = _BUSY
    return Unavailable(code, message, next_step=next_step, data={"cause": reason})


@contextmanager
def translated() -> Generator[None]:
    """Turns the database's troubles inside the block into `Unavailable`.

    Raises:
        Unavailable: the store is locked, full, damaged or out of reach; the transaction of the block is rolled back.
    """
    try:
        yield
    except exc.TimeoutError as error:
        raise busy("no connection became free") from error
    except (exc.IntegrityError, exc.ProgrammingError, exc.InterfaceError, exc.DataError):
        raise
    except exc.DBAPIError as error:
        number = getattr(error.orig, "sqlite_errorcode", None)
        known = _BY_CODE.get(number & _PRIMARY_CODE, _OTHER) if isinstance(number, int) else _OTHER
        raise _unavailable(known, str(error.orig)) from error
    except OSError as error:
        known = _FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else _UNWRITABLE
        raise _unavailable(known, str(error)) from error


def _unavailable(known: tuple[str, str, str], cause: str) -> Unavailable:
    code, message, next_step = known
    return Unavailable(code, f"{message} ({cause})", next_step=next_step, data={"cause": cause})

"""An outbox in one file, for when there is no database: JSON lines that are only ever appended, each on the disk before
it counts.

Whoever may write the file may send what stands in it, and nothing more; so it is the owner's alone (mode 0600). A lock
on the file lets several processes at once agree on the first writer of a key. A line that can't be read (the process
or the machine died while writing it) is passed over and told of in `damage`: in an emergency a spoilt line must not
stop the next pause. Besides what every outbox does, entries carry what was said when they were put (`about`), and
remarks of what came of them, so that the server can take them into its timeline later.
"""

import asyncio
import base64
import binascii
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from tocsin.connect.ports import OutboxEntry, OutboxPage, OutboxStatus
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import TxHash, tx_hash

OUTBOX_FILE = "break-glass.jsonl"
FILE_BYTES_MAX = 64 * 1024 * 1024
"""A break-glass outbox has a few lines; one of this size is something else."""
LOCK_WAIT_S_MAX = 5.0
_LOCK_POLL_S = 0.01
_MEMORY = Path("/dev/shm")  # noqa: S108  (under a name of our own, and only if the folder is ours)
"""Survives no restart of the machine, but takes a pause when all disks are full."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Put(_Line):
    record: Literal["put"]
    key: str
    tx: str
    raw: str
    valid_until_block: int
    purpose: str
    created_at: datetime
    about: dict[str, JsonValue] = {}

    def entry(self) -> OutboxEntry:
        """Raises ValueError where a text is not what it should be."""
        raw = base64.b64decode(self.raw, validate=True)
        return OutboxEntry(
            self.key, TxHash(tx_hash(self.tx)), raw, self.valid_until_block, self.purpose, self.created_at
        )


class _Settled(_Line):
    record: Literal["settled"]
    key: str
    status: OutboxStatus
    height: int | None = None


class _Remark(_Line):
    record: Literal["remark"]
    key: str
    name: str
    facts: dict[str, JsonValue]


class _Torn(_Line):
    """Says that the line before this one was found unfinished, and ended so that lines could follow it."""

    record: Literal["torn"]


class _Opened(_Line):
    """Says that a run began to use the file, and proves that it could be written."""

    record: Literal["opened"]


type _AnyLine = Annotated[_Put | _Settled | _Remark | _Torn | _Opened, Field(discriminator="record")]
_LINE: TypeAdapter[_AnyLine] = TypeAdapter(_AnyLine)


@dataclass
class _Content:
    """What the lines amount to."""

    pages: dict[str, OutboxPage] = field(default_factory=dict[str, OutboxPage])
    damage: list[str] = field(default_factory=list[str])
    unfinished: bool = False

    def take(self, number: int, line: bytes) -> None:
        try:
            read = _LINE.validate_json(line)
            match read:
                case _Put():
                    self.pages.setdefault(read.key, OutboxPage(read.entry(), read.about, {}))
                case _Settled() if (page := self.pages.get(read.key)) is not None:
                    if page.entry.status is OutboxStatus.STORED:
                        settled = replace(page.entry, status=read.status, height=read.height)
                        self.pages[read.key] = replace(page, entry=settled)
                case _Remark() if (page := self.pages.get(read.key)) is not None:
                    self.pages[read.key] = replace(page, remarks={**page.remarks, read.name: read.facts})
                case _:
                    pass
        except (ValidationError, ValueError, binascii.Error):
            self.damage.append(f"line {number} can't be read")


class FileOutbox:
    """`PauseOutbox` in a file, which is made at the first write. `about` goes with every entry that is put here."""

    def __init__(self, path: Path, about: Mapping[str, Json] | None = None) -> None:
        self.path = path
        self._about = dict(about or {})

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        def change(content: _Content) -> tuple[list[Mapping[str, Json]], OutboxEntry]:
            standing = content.pages.get(entry.key)
            if standing is not None:
                return [], standing.entry
            line: Mapping[str, Json] = {
                "record": "put",
                "key": entry.key,
                "tx": entry.tx,
                "raw": base64.b64encode(entry.raw).decode(),
                "valid_until_block": entry.valid_until_block,
                "purpose": entry.purpose,
                "created_at": entry.created_at.isoformat(),
                "about": self._about,
            }
            lines: list[Mapping[str, Json]] = [line]
            if entry.status is not OutboxStatus.STORED:
                lines.append(_settled_line(entry.key, entry.status, entry.height))
            return lines, entry

        return await self._changed(change)

    async def get(self, key: str) -> OutboxEntry | None:
        page = (await self._content()).pages.get(key)
        return None if page is None else page.entry

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        def change(content: _Content) -> tuple[list[Mapping[str, Json]], None]:
            page = content.pages.get(key)
            if page is None:
                raise Refused("outbox-key-unknown", f"nothing stands in the outbox under {key}")
            standing = page.entry
            if (standing.status, standing.height) == (status, height):
                return [], None
            if standing.status is not OutboxStatus.STORED:
                raise Refused(
                    "outbox-settled",
                    f"{key} was settled as {standing.status} before, and can't become {status}",
                    next_step=f"look {standing.tx} up on the chain",
                    data={"key": key, "tx": standing.tx, "status": standing.status, "height": standing.height},
                )
            return [_settled_line(key, status, height)], None

        await self._changed(change)

    async def unsettled(self) -> Sequence[OutboxEntry]:
        entries = [page.entry for page in (await self._content()).pages.values()]
        return sorted((e for e in entries if e.status is OutboxStatus.STORED), key=lambda e: (e.created_at, e.key))

    async def pages(self) -> Sequence[OutboxPage]:
        """Every entry with what was said of it, in the order in which they were put."""
        return list((await self._content()).pages.values())

    async def remark(self, key: str, name: str, facts: Mapping[str, Json]) -> None:
        """Keeps facts beside an entry; a later remark of the same name takes the place of the one before.

        Raises:
            Refused: no entry has this key.
        """

        def change(content: _Content) -> tuple[list[Mapping[str, Json]], None]:
            if key not in content.pages:
                raise Refused("outbox-key-unknown", f"nothing stands in the outbox under {key}")
            return [{"record": "remark", "key": key, "name": name, "facts": facts}], None

        await self._changed(change)

    async def damage(self) -> Sequence[str]:
        """Sentences about lines that were passed over because they can't be read; normally none."""
        return (await self._content()).damage

    async def prepare(self) -> None:
        """Makes sure that a line can be written to the disk, and makes the file where it is missing.

        Raises:
            Unavailable: it can't.
        """
        opened: Mapping[str, Json] = {"record": "opened", "about": self._about}
        await self._changed(lambda _: ([opened], None))

    async def _content(self) -> _Content:
        return await asyncio.to_thread(self._read_all)

    async def _changed[T](self, change: Callable[[_Content], tuple[list[Mapping[str, Json]], T]]) -> T:
        return await asyncio.to_thread(self._change, change)

    def _read_all(self) -> _Content:
        with _translated(self.path):
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return _Content()
            with os.fdopen(descriptor, "rb") as file:
                _lock(file.fileno(), fcntl.LOCK_SH, self.path)
                return _parsed(_bounded(file.read(FILE_BYTES_MAX + 1), self.path))

    def _change[T](self, change: Callable[[_Content], tuple[list[Mapping[str, Json]], T]]) -> T:
        with _translated(self.path):
            made = not self.path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b", buffering=0) as file:
                _lock(file.fileno(), fcntl.LOCK_EX, self.path)
                content = _parsed(_bounded(file.read(FILE_BYTES_MAX + 1), self.path))
                lines, result = change(content)
                if lines:
                    head = b'\n{"record":"torn"}\n' if content.unfinished else b""
                    _write_all(file.fileno(), head + b"".join(_encoded(line) for line in lines))
                    os.fsync(file.fileno())
                if made:
                    _sync_folder(self.path.parent)
                return result


def outbox_folders(state: Path) -> tuple[Path, ...]:
    """Where the outbox of break glass may stand, the best place first.

    After the state folder come places that can be written when it can't (a full or read-only disk, another user's
    folder), under a name that the server finds again by the same state folder and user.
    """
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    name = f"tocsin-{os.geteuid()}-{digest}"
    return (state, Path(tempfile.gettempdir()) / name, _MEMORY / name)


def standing_outboxes(state: Path) -> tuple[FileOutbox, ...]:
    """The outboxes of break glass that are there, of this state folder and this user."""
    paths = [folder / OUTBOX_FILE for folder in outbox_folders(state) if folder == state or _is_ours(folder)]
    return tuple(FileOutbox(path) for path in paths if path.is_file())


async def open_outbox(folders: Sequence[Path], about: Mapping[str, Json]) -> FileOutbox:
    """The outbox in the first folder that can be used; the folder is made where it is missing.

    Raises:
        Unavailable: none can be used; the message says why of each.
    """
    problems: list[str] = []
    for number, folder in enumerate(folders):
        outbox = FileOutbox(folder / OUTBOX_FILE, about)
        try:
            await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
            if number > 0 and not _is_ours(folder):
                raise PermissionError(errno.EPERM, "it is somebody else's, or others may write there")
            await outbox.prepare()
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
        except Unavailable as error:
            problems.append(error.message)
        else:
            return outbox
    raise Unavailable(
        "no-place-for-the-outbox",
        f"there is no place to keep the signed transaction: {'; '.join(problems)}",
        next_step="name a folder that can be written with --state",
    )


def _is_ours(folder: Path) -> bool:
    """Whether a folder in a public place was made by this user for nobody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _parsed(text: bytes) -> _Content:
    content = _Content()
    lines = text.split(b"\n")
    last = lines.pop()
    for number, line in enumerate(lines, 1):
        content.take(number, line)
    if last:
        content.unfinished = True
        content.damage.append(f"line {len(lines) + 1} is unfinished: whoever wrote it died meanwhile")
    return content


def _settled_line(key: str, status: OutboxStatus, height: int | None) -> Mapping[str, Json]:
    return {"record": "settled", "key": key, "status": status, "height": height}


def _encoded(line: Mapping[str, Json]) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _sync_folder(folder: Path) -> None:
    """A new file is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, path: Path) -> None:
    """Locks the open file until it is closed."""
    deadline = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(
                    "outbox-busy",
                    f"another process has held {path} for {LOCK_WAIT_S_MAX:g} s",
                    next_step="look which process has it open, or name another folder with --state",
                ) from None
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _bounded(text: bytes, path: Path) -> bytes:
    if len(text) > FILE_BYTES_MAX:
        raise Unavailable(
            "outbox-too-large",
            f"{path} has more than {FILE_BYTES_MAX} bytes: this is no outbox of a pause",
            next_step="move it away, or name another folder with --state",
        )
    return text


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "outbox-unusable",
            f"the outbox {path} can't be used: {error.strerror or error}",
            next_step="mend it, or name another folder with --state",
            data={"file": str(path)},
        ) from error

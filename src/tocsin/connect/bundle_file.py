"""The file of an offline bundle: JSON that says for people what it is, and holds the signed bytes.

Whoever holds it can pause, so it is made for its owner only (mode 0600) and never written over another file. What is
read from it is checked for its shape and nothing more; the bytes are judged where they are sent.
"""

import base64
import binascii
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tocsin.domain.bundles import PauseBundle, PauseTarget, SealedPause
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import TxHash, tx_hash

FORMAT = "tocsin pause bundle 1"
BUNDLE_BYTES_MAX = 16 * 1024 * 1024
BLOCK_MAX = 2**32 - 1


class _Pause(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    app: str | None
    reason: str
    summary: str
    tx: str
    valid_from_block: int = Field(ge=0, le=BLOCK_MAX)
    valid_until_block: int = Field(ge=0, le=BLOCK_MAX)
    raw: str


class _Bundle(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal["tocsin pause bundle 1"]
    network: int
    platform: str
    by: str
    made_at: AwareDatetime
    height: int = Field(ge=0, le=BLOCK_MAX)
    block_ms: int = Field(gt=0, le=3_600_000)
    transactions: tuple[_Pause, ...] = Field(max_length=10_000)


def write_bundle(path: Path, bundle: PauseBundle) -> None:
    """Writes a new file that only its owner can read.

    Raises:
        Refused: there is a file already, or none can be written.
    """
    until = bundle.valid_until_block
    transactions: list[Json] = [
        {
            "target": str(pause.target),
            "app": pause.target.app,
            "summary": pause.summary,
            "reason": pause.reason,
            "tx": pause.tx,
            "valid_from_block": pause.valid_from_block,
            "valid_until_block": pause.valid_until_block,
            "valid_until_about": _minutes(bundle.about_when(pause.valid_until_block)),
            "raw": base64.b64encode(pause.raw).decode(),
        }
        for pause in bundle.pauses
    ]
    document: Json = {
        "format": FORMAT,
        "warning": f"Whoever holds this file can pause {bundle.platform} until block {until} "
        f"(about {_minutes(bundle.about_when(until))}). Send: tocsin pause --send FILE",
        "network": bundle.network,
        "platform": bundle.platform,
        "by": bundle.by,
        "made_at": bundle.made_at.isoformat(),
        "height": bundle.height,
        "block_ms": bundle.block_ms,
        "transactions": transactions,
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise Refused("file-exists", f"{path} is there already", next_step="remove it, or name another file") from error
    except OSError as error:
        raise Refused(
            "file-not-writable", f"{path} can't be written: {error.strerror}", next_step="name another file"
        ) from error


def read_bundle(path: Path) -> PauseBundle:
    """Reads a bundle.

    Raises:
        Refused: there is none, or it is no bundle.
    """
    try:
        with path.open("rb") as file:
            text = file.read(BUNDLE_BYTES_MAX + 1)
        if len(text) > BUNDLE_BYTES_MAX:
            raise ValueError(f"it has more than {BUNDLE_BYTES_MAX} bytes")
        read = _Bundle.model_validate_json(text)
        return PauseBundle(
            read.network,
            read.platform,
            read.by,
            read.made_at.astimezone(UTC),
            read.height,
            read.block_ms,
            tuple(_pause(each) for each in read.transactions),
        )
    except (OSError, ValidationError, ValueError, binascii.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, ValidationError):
            problem = error.errors(include_url=False, include_input=False)[0]
            why = f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
        raise Refused(
            "bundle-unreadable", f"{path} can't be used as a bundle: {why}", next_step="take the file from its source"
        ) from error


def _pause(read: _Pause) -> SealedPause:
    raw = base64.b64decode(read.raw, validate=True)
    return SealedPause(
        PauseTarget(read.app),
        read.reason,
        read.summary,
        TxHash(tx_hash(read.tx)),
        raw,
        read.valid_from_block,
        read.valid_until_block,
    )


def _minutes(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"

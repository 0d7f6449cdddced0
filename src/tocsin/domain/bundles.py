"""Bundles: pauses that were signed in advance, to be sent by whoever holds the file when nothing else works."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.domain.hashes import TxHash


@dataclass(frozen=True, slots=True)
class PauseTarget:
    """What a pause is to stop: one app, or everything (`app` None)."""

    app: str | None = None

    def __str__(self) -> str:
        return "all" if self.app is None else f"app:{self.app}"


@dataclass(frozen=True, slots=True)
class SealedPause:
    """A signed pause. Nodes take it while the newest block is `valid_from_block` or later, but before the last one."""

    target: PauseTarget
    reason: str
    summary: str
    tx: TxHash
    raw: bytes
    valid_from_block: int
    valid_until_block: int


@dataclass(frozen=True, slots=True)
class PauseBundle:
    """Signed pauses of one platform, made when its chain stood at `height` with a block every `block_ms`."""

    network: int
    platform: str
    by: str
    made_at: datetime
    height: int
    block_ms: int
    pauses: tuple[SealedPause, ...]

    @property
    def valid_until_block(self) -> int:
        """The last block that can hold any of them."""
        return max((pause.valid_until_block for pause in self.pauses), default=self.height)

    def about_when(self, block: int) -> datetime:
        """About when the chain reaches this block, at the pace that it had when the bundle was made."""
        return self.made_at + timedelta(milliseconds=(block - self.height) * self.block_ms)

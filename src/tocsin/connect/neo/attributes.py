# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportIncompatibleVariableOverride=false
# pyright: reportIncompatibleMethodOverride=false
"""Conflicts and NotValidBefore as neo-mamba would have them; it has neither. What they mean stands in `mamba`.

Imported from inside functions only, since it imports neo-mamba. As subclasses of the library's own attribute they are
found by its reader of serialised transactions too.
"""

from dataclasses import dataclass
from typing import Any, Self

from neo3.core.serialization import BinaryReader, BinaryWriter
from neo3.core.types import UInt256
from neo3.network.payloads.transaction import TransactionAttribute

from tocsin.domain.hashes import TxHash

_HASH_BYTES = 32
_HEIGHT_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Kind:
    """Stands in for a member of the library's enumeration, which can't be extended."""

    value: int
    name: str

    def to_csharp_name(self) -> str:
        return self.name


class ConflictsAttribute(TransactionAttribute):
    """Type 0x21: the hash of the other transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.type_: Any = _Kind(0x21, "Conflicts")
        self.allow_multiple = True
        self.hash = UInt256.zero()

    @classmethod
    def of(cls, tx: TxHash) -> Self:
        attribute = cls()
        attribute.hash = UInt256.from_string(tx)
        return attribute

    def __len__(self) -> int:
        return 1 + _HASH_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConflictsAttribute) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def _serialize_without_type(self, writer: BinaryWriter) -> None:
        writer.write_serializable(self.hash)

    def _deserialize_without_type(self, reader: BinaryReader) -> None:
        self.hash = reader.read_serializable(UInt256)

    @classmethod
    def _serializable_init(cls) -> Self:
        return cls()


class NotValidBeforeAttribute(TransactionAttribute):
    """Type 0x20: the first block that may hold the transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.type_: Any = _Kind(0x20, "NotValidBefore")
        self.height = 0

    @classmethod
    def of(cls, height: int) -> Self:
        attribute = cls()
        attribute.height = height
        return attribute

    def __len__(self) -> int:
        return 1 + _HEIGHT_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotValidBeforeAttribute) and self.height == other.height

    def __hash__(self) -> int:
        return hash(self.height)

    def _serialize_without_type(self, writer: BinaryWriter) -> None:
        writer.write_uint32(self.height)

    def _deserialize_without_type(self, reader: BinaryReader) -> None:
        self.height = reader.read_uint32()

    @classmethod
    def _serializable_init(cls) -> Self:
        return cls()

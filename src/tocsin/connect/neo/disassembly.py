"""Reads contract calls out of a script, where the script is nothing but contract calls one after the other. Pure.

The script is followed on a stack of its own, and only through instructions whose effect is certain: pushing values,
packing them, calling a contract, and asserting or dropping what a call answered. Anything else (jumps, arithmetic, a
result that is passed on, other system calls) makes it a script that can't be said in words, and the answer is None:
better nothing than a wrong sentence above a signature.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from tocsin.connect.ports import StackValue
from tocsin.domain.hashes import ScriptHash

ALL_FLAGS = 0x0F
"""The call may read, write, notify and call on: what wallets write."""
_CALLS_MAX = 64
_DEPTH_MAX = 16
_CONTRACT_CALL = bytes.fromhex("627d5b52")
"""The number of System.Contract.Call."""


class Use(StrEnum):
    """What the script does with what a call answered."""

    KEPT = "kept"
    ASSERTED = "asserted"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class PlainCall:
    """A call in a script, with its arguments as the virtual machine has them. `flags` are call flags."""

    contract: ScriptHash
    method: str
    arguments: tuple[StackValue, ...]
    flags: int = ALL_FLAGS
    use: Use = Use.KEPT


def calls_in(script: bytes) -> tuple[PlainCall, ...] | None:
    """The calls that the script makes, in order; None if it is not a plain sequence of calls."""
    try:
        return _Reading(script).calls()
    except _NotPlain:
        return None


class _NotPlain(Exception):
    """The script does something that is not followed here."""


class _Kind(StrEnum):
    PLAIN = "plain"
    ARRAY = "array"
    MAP = "map"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class _Item:
    """What lies on the stack. An answer's value is not known; `call` is the number of the call that gave it."""

    kind: _Kind
    value: StackValue = None
    depth: int = 0
    call: int = -1


class _Reading:
    def __init__(self, script: bytes) -> None:
        self._script = script
        self._at = 0
        self._stack: list[_Item] = []
        self._calls: list[PlainCall] = []

    def calls(self) -> tuple[PlainCall, ...]:
        while self._at < len(self._script):
            self._step(self._take(1)[0])
        if not self._calls or any(item.kind is not _Kind.ANSWER for item in self._stack):
            raise _NotPlain
        return tuple(self._calls)

    def _step(self, opcode: int) -> None:
        match opcode:
            case 0x00 | 0x01 | 0x02 | 0x03 | 0x04 | 0x05:  # PUSHINT8 … PUSHINT256
                self._push(int.from_bytes(self._take(1 << opcode), "little", signed=True))
            case 0x08 | 0x09:  # PUSHT, PUSHF
                self._push(opcode == 0x08)
            case 0x0B:  # PUSHNULL
                self._push(None)
            case 0x0C | 0x0D | 0x0E:  # PUSHDATA1, 2, 4
                size = int.from_bytes(self._take(1 << (opcode - 0x0C)), "little")
                self._push(self._take(size))
            case _ if 0x0F <= opcode <= 0x20:  # PUSHM1, PUSH0 … PUSH16
                self._push(opcode - 0x10)
            case 0x39:  # ASSERT
                self._use(Use.ASSERTED)
            case 0x45:  # DROP
                self._use(Use.DROPPED)
            case 0x41:  # SYSCALL
                self._syscall(self._take(4))
            case 0xC0:  # PACK
                self._pack([self._pop() for _ in range(self._size())])
            case 0xC2:  # NEWARRAY0
                self._pack([])
            case 0xBE:  # PACKMAP
                self._pack_map([(self._pop(), self._pop()) for _ in range(self._size())])
            case 0xC8:  # NEWMAP
                self._pack_map([])
            case 0xDB if self._take(1) == b"\x20":  # CONVERT to Boolean, as older wallets write truth values
                self._push(bool(self._integer()))
            case 0x40 if self._at == len(self._script):  # RET
                pass
            case _:
                raise _NotPlain

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._script):
            raise _NotPlain
        self._at += size
        return self._script[self._at - size : self._at]

    def _push(self, value: StackValue) -> None:
        self._stack.append(_Item(_Kind.PLAIN, value))

    def _pop(self) -> _Item:
        if not self._stack or self._stack[-1].kind is _Kind.ANSWER:
            raise _NotPlain
        return self._stack.pop()

    def _integer(self) -> int:
        value = self._pop().value
        if isinstance(value, bool) or not isinstance(value, int):
            raise _NotPlain
        return value

    def _bytes(self) -> bytes:
        value = self._pop().value
        if not isinstance(value, bytes):
            raise _NotPlain
        return value

    def _size(self) -> int:
        size = self._integer()
        if not 0 <= size <= len(self._stack):
            raise _NotPlain
        return size

    def _pack(self, items: list[_Item]) -> None:
        depth = 1 + max((item.depth for item in items), default=0)
        if depth > _DEPTH_MAX:
            raise _NotPlain
        self._stack.append(_Item(_Kind.ARRAY, tuple(item.value for item in items), depth))

    def _pack_map(self, entries: list[tuple[_Item, _Item]]) -> None:
        depth = 1 + max((value.depth for _, value in entries), default=0)
        keys = [key.value for key, _ in entries]
        # A key that comes twice would be shown twice, and only one of its values would count.
        plain = all(isinstance(key, bool | int | bytes) for key in keys) and len({repr(key) for key in keys}) == len(
            keys
        )
        if depth > _DEPTH_MAX or not plain:
            raise _NotPlain
        self._stack.append(_Item(_Kind.MAP, tuple((key.value, value.value) for key, value in entries), depth))

    def _syscall(self, number: bytes) -> None:
        if number != _CONTRACT_CALL or len(self._calls) == _CALLS_MAX:
            raise _NotPlain
        contract, method, flags, arguments = self._bytes(), self._bytes(), self._integer(), self._pop()
        if len(contract) != 20 or arguments.kind is not _Kind.ARRAY or not isinstance(arguments.value, tuple):
            raise _NotPlain
        try:
            name = method.decode()
        except UnicodeDecodeError as error:
            raise _NotPlain from error
        self._stack.append(_Item(_Kind.ANSWER, call=len(self._calls)))
        self._calls.append(PlainCall(ScriptHash(f"0x{contract[::-1].hex()}"), name, arguments.value, flags))

    def _use(self, use: Use) -> None:
        if not self._stack or self._stack[-1].kind is not _Kind.ANSWER:
            raise _NotPlain
        number = self._stack.pop().call
        self._calls[number] = replace(self._calls[number], use=use)

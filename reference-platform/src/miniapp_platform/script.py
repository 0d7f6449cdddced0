"""What goes into the virtual machine and what comes out: scripts, stack items, notifications, executions. Pure."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Self, TypedDict, cast

from neo3.contracts.contract import CONTRACT_HASHES
from neo3.core.types import UInt160
from neo3.vm import OpCode, ScriptBuilder

GAS = CONTRACT_HASHES.GAS_TOKEN
CONTRACT_MANAGEMENT = CONTRACT_HASHES.MANAGEMENT
FRACTIONS_PER_GAS = 100_000_000

type Argument = bool | int | str | bytes | UInt160 | Sequence[Argument] | None
type StackValue = bool | int | bytes | tuple[StackValue, ...] | None


class JsonItem(TypedDict):
    """A stack item, as the RPC writes it."""

    type: str
    value: NotRequired[object]


class JsonNotification(TypedDict):
    contract: str
    eventname: str
    state: JsonItem


class JsonExecution(TypedDict):
    vmstate: str
    exception: NotRequired[str | None]
    gasconsumed: str
    stack: list[JsonItem]
    notifications: list[JsonNotification]


@dataclass(frozen=True, slots=True)
class Call:
    """A contract call."""

    contract: UInt160
    method: str
    arguments: tuple[Argument, ...] = ()
    must_be_true: bool = False
    """Fault the whole script unless the call returns true; an NEP-17 transfer that can't be done only returns false."""


@dataclass(frozen=True, slots=True)
class Notification:
    """An event of a contract."""

    contract: str
    """Script hash as '0x…'."""
    name: str
    values: tuple[StackValue, ...]


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of a transaction in its block."""

    transaction: str
    halted: bool
    fault: str
    """Why it FAULTed; empty when it HALTed."""
    gas_consumed: int
    """In GAS fractions."""
    stack: tuple[StackValue, ...]
    notifications: tuple[Notification, ...]
    """Empty unless it HALTed: the events of a FAULTed transaction did not happen."""

    @classmethod
    def from_json(cls, transaction: str, execution: JsonExecution) -> Self:
        halted = execution["vmstate"] == "HALT"
        notifications = tuple(
            Notification(each["contract"], each["eventname"], _sequence(stack_value(each["state"])))
            for each in execution["notifications"]
        )
        return cls(
            transaction=transaction,
            halted=halted,
            fault=execution.get("exception") or "",
            gas_consumed=int(execution["gasconsumed"]),
            stack=tuple(stack_value(item) for item in execution["stack"]),
            notifications=notifications if halted else (),
        )

    def gas_out_of(self, account: UInt160) -> int:
        """GAS fractions that left an account by transfers in this execution, fees not counted."""
        total = 0
        for notification in self.notifications:
            if notification.contract != f"0x{GAS}" or notification.name != "Transfer":
                continue
            sender, _, amount = notification.values
            if sender == account.to_array() and isinstance(amount, int):
                total += amount
        return total


def transfer_gas(sender: UInt160, receiver: UInt160, fractions: int, data: Argument = None) -> Call:
    """A GAS transfer that happens or faults."""
    return Call(GAS, "transfer", (sender, receiver, fractions, data), must_be_true=True)


def script(calls: Sequence[Call]) -> bytes:
    """The script that makes these calls one after the other, leaving the results of those that need not be true."""
    builder = ScriptBuilder()
    for call in calls:
        arguments: Any = list(call.arguments)  # neo-mamba takes more than it declares
        builder.emit_contract_call_with_args(call.contract, call.method, arguments)  # pyright: ignore[reportUnknownMemberType]
        if call.must_be_true:
            builder.emit(OpCode.ASSERT)
    return builder.to_array()


def script_hash(text: str) -> UInt160:
    """The script hash written as '0x…'. Raises ValueError."""
    return UInt160.from_string(text.removeprefix("0x"))


def stack_value(item: JsonItem) -> StackValue:
    """A stack item as a Python value; what can't be one (iterators, pointers, maps) becomes None."""
    value = item.get("value")
    match item["type"]:
        case "Boolean":
            return bool(value)
        case "Integer":
            return int(cast(str, value))
        case "ByteString" | "Buffer":
            return base64.b64decode(cast(str, value))
        case "Array" | "Struct":
            return tuple(stack_value(each) for each in cast("list[JsonItem]", value))
        case _:
            return None


def _sequence(value: StackValue) -> tuple[StackValue, ...]:
    return value if isinstance(value, tuple) else ()

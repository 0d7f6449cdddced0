"""Between JSON and the domain: stack items, executions, notifications, manifests."""

import base64
import binascii

from pydantic import JsonValue

from tocsin.connect.neo.rpc import TransportFailed
from tocsin.connect.neo.wire import (
    ContractState,
    InvocationAnswer,
    LoggedExecution,
    NotificationAnswer,
    ScriptAnswer,
    StackItem,
)
from tocsin.connect.ports import Execution, Manifest, ManifestMethod, Notification, ParameterType, StackValue
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import ScriptHash, TxHash

DEPTH_MAX = 64
"""How deep a stack item may nest; the VM's own stack limit is far above what anybody nests on purpose."""


def stack_value(item: StackItem, depth: int = 0) -> StackValue:
    """The item as the domain has it; see `StackValue`.

    Raises:
        TransportFailed: it is no stack item, or nests deeper than `DEPTH_MAX`.
    """
    if depth > DEPTH_MAX:
        raise TransportFailed("a stack item nests too deeply", delivered=True)
    match item.type, item.value:
        case (("Any" | "InteropInterface"), _):
            return None
        case "Boolean", bool(value):
            return value
        case (("Integer" | "Pointer"), (str() | int()) as value):
            return _integer(value)
        case (("ByteString" | "Buffer"), str(value)):
            return _bytes(value)
        case (("Array" | "Struct"), list(items)):
            return tuple(stack_value(_item(each), depth + 1) for each in items)
        case "Map", list(entries):
            return tuple(_entry(each, depth) for each in entries)
        case _:
            raise TransportFailed(f"a stack item of type {item.type[:40]!r} has no such value", delivered=True)


def execution_of(answer: InvocationAnswer | LoggedExecution, container: TxHash | None = None) -> Execution:
    """What a script did. A FAULTed script's notifications are dropped: what they tell of never happened."""
    state = answer.state if isinstance(answer, InvocationAnswer) else answer.vmstate
    halted = "HALT" in state and "FAULT" not in state
    return Execution(
        halted=halted,
        exception=answer.exception,
        stack=tuple(stack_value(item) for item in answer.stack),
        gas_consumed=Gas(answer.gasconsumed),
        notifications=_notifications(answer, container) if halted else (),
    )


def _notifications(answer: ScriptAnswer, container: TxHash | None) -> tuple[Notification, ...]:
    return tuple(_notification(each, container) for each in answer.notifications)


def _notification(answer: NotificationAnswer, container: TxHash | None) -> Notification:
    values = stack_value(answer.state)
    return Notification(
        contract=ScriptHash(answer.contract),
        name=answer.eventname,
        values=values if isinstance(values, tuple) else (values,),
        container=container,
    )


def manifest_of(answer: ContractState) -> Manifest:
    """What a contract says of itself."""
    methods = tuple(
        ManifestMethod(
            name=method.name,
            parameters=tuple((each.name, _type(each.type)) for each in method.parameters),
            returns=_type(method.returntype),
            safe=method.safe,
        )
        for method in answer.manifest.abi.methods
    )
    return Manifest(contract=ScriptHash(answer.hash), name=answer.manifest.name, methods=methods)


def _type(name: str) -> ParameterType:
    try:
        return ParameterType(name)
    except ValueError as error:
        raise TransportFailed(f"{name[:40]!r} is no parameter type", delivered=True) from error


def _item(value: JsonValue) -> StackItem:
    if not isinstance(value, dict) or not isinstance(kind := value.get("type"), str):
        raise TransportFailed("a stack item has no type", delivered=True)
    # Not validated again: the whole has been, and this is the hot path.
    return StackItem.model_construct(type=kind, value=value.get("value"))


def _entry(value: JsonValue, depth: int) -> StackValue:
    if not isinstance(value, dict) or "key" not in value or "value" not in value:
        raise TransportFailed("a map entry has no key or no value", delivered=True)
    return (stack_value(_item(value["key"]), depth + 1), stack_value(_item(value["value"]), depth + 1))


def _integer(value: str | int) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise TransportFailed("an Integer is no number", delivered=True) from error


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TransportFailed("a ByteString is not base64", delivered=True) from error


def as_json(data: bytes) -> str:
    """Bytes as JSON-RPC takes them."""
    return base64.b64encode(data).decode()

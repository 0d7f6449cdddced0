"""Between JSON and the domain: stack items, executions, notifications, manifests."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from tocsin.connect.neo.raw_block import BlockOutline
from tocsin.connect.neo.rpc import TransportFailed, printable
from tocsin.connect.neo.wire import (
    BlockAnswer,
    ContractState,
    InvocationAnswer,
    LoggedExecution,
    NotificationAnswer,
    ScriptAnswer,
    StackItem,
)
from tocsin.connect.ports import (
    Block,
    BlockTransaction,
    Execution,
    Manifest,
    ManifestMethod,
    Notification,
    ParameterType,
    StackValue,
)
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import BlockHash, ScriptHash, TxHash

DEPTH_MAX = 64
"""How deep a stack item may nest; the VM's own stack limit is far above what anybody nests on purpose."""


def stack_value(item: StackItem) -> StackValue:
    """The item as the domain has it; see `StackValue`.

    Raises:
        TransportFailed: it is no stack item, or nests deeper than `DEPTH_MAX`.
    """
    return _value(item.type, item.value, 0)


def _value(kind: str, value: JsonValue, depth: int) -> StackValue:
    # The most frequent kinds first: reading the past of a chain is mostly this.
    if depth > DEPTH_MAX:
        raise TransportFailed("a stack item nests too deeply", delivered=True)
    if kind in {"ByteString", "Buffer"} and isinstance(value, str):
        return _bytes(value)
    if kind in {"Integer", "Pointer"} and isinstance(value, str | int):
        return _integer(value)
    if kind in {"Array", "Struct"} and isinstance(value, list):
        return tuple([_nested(each, depth + 1) for each in value])
    if kind in {"Any", "InteropInterface"}:
        return None
    if kind == "Boolean" and isinstance(value, bool):
        return value
    if kind == "Map" and isinstance(value, list):
        return tuple([_entry(each, depth + 1) for each in value])
    raise TransportFailed(f"a stack item of type {kind[:40]!r} has no such value", delivered=True)


def execution_of(answer: InvocationAnswer | LoggedExecution, container: TxHash | None = None) -> Execution:
    """What a script did. A FAULTed script's notifications are dropped: what they tell of never happened."""
    state = answer.state if isinstance(answer, InvocationAnswer) else answer.vmstate
    halted = "HALT" in state and "FAULT" not in state
    return Execution(
        halted=halted,
        exception=None if answer.exception is None else printable(answer.exception),
        stack=tuple(stack_value(item) for item in answer.stack),
        gas_consumed=Gas(answer.gasconsumed),
        notifications=_notifications(answer, container) if halted else (),
    )


def _notifications(answer: ScriptAnswer, container: TxHash | None) -> tuple[Notification, ...]:
    return tuple([_notification(each, container) for each in answer.notifications])


def _notification(answer: NotificationAnswer, container: TxHash | None) -> Notification:
    values = stack_value(answer.state)
    return Notification(
        contract=ScriptHash(answer.contract),
        name=answer.eventname,
        values=values if isinstance(values, tuple) else (values,),
        container=container,
    )


def outcome_of(answer: LoggedExecution, container: TxHash) -> tuple[bool, tuple[Notification, ...]]:
    """Whether a transaction HALTed, and its notifications: what a block tells of it."""
    halted = answer.vmstate == "HALT"
    return halted, _notifications(answer, container) if halted else ()


def outline_of(answer: BlockAnswer) -> BlockOutline:
    """A block without what its transactions did."""
    return BlockOutline(
        height=answer.index,
        hash=BlockHash(answer.hash),
        time=datetime.fromtimestamp(answer.time / 1000, UTC),
        transactions=tuple(
            [(TxHash(tx.hash), tuple([ScriptHash(signer.account) for signer in tx.signers])) for tx in answer.tx]
        ),
    )


def block_of(outline: BlockOutline, outcomes: Sequence[tuple[bool, tuple[Notification, ...]]]) -> Block:
    """A block with what each of its transactions did, in their order."""
    return Block(
        outline.height,
        outline.hash,
        outline.time,
        tuple(
            [
                # The sender is the first signer, by the protocol.
                BlockTransaction(tx, signers[0], signers, halted, notifications)
                for (tx, signers), (halted, notifications) in zip(outline.transactions, outcomes, strict=True)
            ]
        ),
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


def _nested(item: JsonValue, depth: int) -> StackValue:
    if not isinstance(item, dict) or not isinstance(kind := item.get("type"), str):
        raise TransportFailed("a stack item has no type", delivered=True)
    return _value(kind, item.get("value"), depth)


def _entry(entry: JsonValue, depth: int) -> StackValue:
    if not isinstance(entry, dict) or "key" not in entry or "value" not in entry:
        raise TransportFailed("a map entry has no key or no value", delivered=True)
    return (_nested(entry["key"], depth), _nested(entry["value"], depth))


def _integer(value: str | int) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise TransportFailed("an Integer is no number", delivered=True) from error


def _bytes(value: str) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True)  # what `base64` calls after a detour
    except (binascii.Error, ValueError) as error:
        raise TransportFailed("a ByteString is not base64", delivered=True) from error


def as_json(data: bytes) -> str:
    """Bytes as JSON-RPC takes them."""
    return base64.b64encode(data).decode()

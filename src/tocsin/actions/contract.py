"""`contract.read` and `contract.invoke`: the ladder test invocation → outbox → send once → wait → read on a quorum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from tocsin.actions.calls import CallSpec, match_manifest
from tocsin.actions.protocol import Preflight, Receipt
from tocsin.connect.ports import (
    ChainReader,
    ChainSender,
    Execution,
    Included,
    Invocation,
    ParameterType,
    Sent,
    Signer,
    StackValue,
)
from tocsin.domain.actions import Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Failed, Refused
from tocsin.domain.hashes import script_hash


@dataclass(frozen=True, slots=True)
class CallInput:
    """The input of a single contract call."""

    call: CallSpec


@dataclass(frozen=True, slots=True)
class Caller:
    """Tries and sends contract calls as the key of one purpose. Shared by every action that calls a contract."""

    reader: ChainReader
    sender: ChainSender
    purpose: str

    async def signer(self, call: Invocation) -> Signer:
        """The purpose's account, its witness limited to the called contract."""
        return Signer(await self.sender.account(self.purpose), "custom_contracts", (call.contract,))

    async def rehearse(self, spec: CallSpec, *then: Invocation) -> Execution:
        """A test invocation of the call (and of reads after it, in one script) that must HALT with a true result.

        Raises:
            Refused: the chain would refuse the call, or the call would answer false.
        """
        call = spec.invocation()
        execution = await self.reader.test_invoke([call, *then], [await self.signer(call)])
        if not execution.halted:
            raise Refused(
                "test-invocation-faulted",
                f"{spec} would fail: {execution.reason}",
                next_step=f"check that the account of the {self.purpose} key is allowed to call it, and the arguments",
                data={"call": str(spec), "exception": execution.exception},
            )
        if _answers_no(spec, execution):
            raise Refused(
                "call-answers-false",
                f"{spec} would run and answer false: the contract would not do it",
                next_step="check the contract's conditions and the arguments",
                data={"call": str(spec)},
            )
        return execution

    async def send(self, key: str, spec: CallSpec) -> Receipt:
        """Sends the call, once a key."""
        sent = await self.sender.submit(key, [spec.invocation()], purpose=self.purpose)
        return Receipt(tx=sent.tx, valid_until_block=sent.valid_until_block)

    async def recall(self, key: str) -> Receipt | None:
        """The receipt of what stands in the outbox under `key`."""
        sent = await self.sender.recall(key)
        return None if sent is None else Receipt(tx=sent.tx, valid_until_block=sent.valid_until_block)

    async def settle(self, key: str, spec: CallSpec, receipt: Receipt) -> Included:
        """Waits for inclusion, and accepts only HALT with a result that is not false.

        Raises:
            Failed: it expired, FAULTed, or answered false.
            OutcomeUnknown: the chain has not said.
        """
        if receipt.tx is None or receipt.valid_until_block is None:
            raise Failed("nothing-sent", f"{spec}: there is no transaction to wait for")
        included = await self.sender.wait(Sent(key, receipt.tx, receipt.valid_until_block))
        execution = included.execution
        where = f"transaction {included.tx} in block {included.height}"
        if not execution.halted:
            raise Failed(
                "call-faulted",
                f"{spec} FAULTed ({where}): {execution.reason}",
                next_step="nothing changed but the fee; read the reason, mend it, run the step again",
                data={"tx": included.tx, "height": included.height, "exception": execution.exception},
            )
        if _answers_no(spec, execution):
            raise Failed(
                "call-answered-false",
                f"{spec} ran and answered false ({where}): the contract did not do it",
                next_step="read the contract's state, then run the step again or take another alternative",
                data={"tx": included.tx, "height": included.height},
            )
        return included


def text_argument(arguments: Mapping[str, Json], name: str) -> str:
    """A text among the runbook's arguments.

    Raises:
        Refused: it is missing or no text.
    """
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise Refused("argument-missing", f"the command names no {name}", next_step="complete the command line")
    return value


async def bind_call(reader: ChainReader, arguments: Mapping[str, Json]) -> CallSpec:
    """The contract call among the runbook's arguments (`contract`, `method`, `args`), checked against the manifest.

    Raises:
        Refused: it does not fit the contract.
    """
    contract_text, method = text_argument(arguments, "contract"), text_argument(arguments, "method")
    given = arguments.get("args") or []
    if not isinstance(given, list | tuple):
        raise Refused("argument-missing", "the command's arguments are no list", next_step="complete the command line")
    texts = [_written(value) for value in cast(Sequence[Json], given)]
    try:
        contract = script_hash(contract_text)
    except ValueError as error:
        raise Refused(
            "no-contract-hash", f"{contract_text!r} names no contract: {error}", next_step="bind it in tocsin.toml"
        ) from error
    return match_manifest(await reader.manifest(contract), method, texts)


def _written(value: Json) -> str:
    """An argument as a command line would write it; a runbook's YAML gives numbers and truth values as such."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            raise Refused(
                "wrong-argument",
                f"an argument must be a text, a whole number, true, false or null, not {value!r}",
                next_step="write a decimal number as a text in the smallest unit; arrays and maps are not read yet",
            )


@dataclass(frozen=True, slots=True)
class ContractRead:
    """Calls a method without a transaction and keeps what a quorum answers."""

    reader: ChainReader
    name: ClassVar[str] = "contract.read"
    autonomy: ClassVar[Autonomy] = Autonomy.ACT
    approvals: ClassVar[int] = 0
    changes: ClassVar[bool] = False

    @property
    def input_type(self) -> type[CallInput]:
        return CallInput

    async def bind(self, arguments: Mapping[str, Json]) -> CallInput:
        return CallInput(await bind_call(self.reader, arguments))

    async def preflight(self, given: CallInput) -> Preflight:
        execution = await self.reader.test_invoke([given.call.invocation()])
        if not execution.halted:
            raise Refused(
                "test-invocation-faulted",
                f"{given.call} would fail: {execution.reason}",
                next_step="check the contract and the arguments",
            )
        return Preflight(summary=f"read {given.call}")

    async def run(self, key: str, given: CallInput, before: Mapping[str, Json]) -> Receipt:
        return Receipt(note="nothing is sent for a read")

    async def recall(self, key: str, given: CallInput, before: Mapping[str, Json]) -> Receipt | None:
        return Receipt(note="nothing is sent for a read")

    async def verify(self, key: str, given: CallInput, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        reading = await self.reader.quorum_invoke([given.call.invocation()], at_least=await self.reader.height())
        if not reading.execution.halted:
            raise Failed("read-faulted", f"{given.call} FAULTed: {reading.execution.reason}")
        answer = shown(reading.execution.stack[0]) if reading.execution.stack else "nothing"
        return Verification(True, f"{given.call} → {answer}", reading.height, reading.quorum)

    async def compensate(self, key: str, given: CallInput, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        raise Refused("nothing-to-compensate", "a read changed nothing, so there is nothing to take back")


@dataclass(frozen=True, slots=True)
class ContractInvoke:
    """Calls a method by a transaction of the key for purpose "invoke"."""

    caller: Caller
    name: ClassVar[str] = "contract.invoke"
    autonomy: ClassVar[Autonomy] = Autonomy.ASK
    approvals: ClassVar[int] = 1
    changes: ClassVar[bool] = True

    @property
    def input_type(self) -> type[CallInput]:
        return CallInput

    async def bind(self, arguments: Mapping[str, Json]) -> CallInput:
        return CallInput(await bind_call(self.caller.reader, arguments))

    async def preflight(self, given: CallInput) -> Preflight:
        execution = await self.caller.rehearse(given.call)
        return Preflight(
            summary=f"call {given.call} (about {execution.gas_consumed} GAS)",
            resources=(f"contract:{given.call.contract}",),
        )

    async def run(self, key: str, given: CallInput, before: Mapping[str, Json]) -> Receipt:
        return await self.caller.send(key, given.call)

    async def recall(self, key: str, given: CallInput, before: Mapping[str, Json]) -> Receipt | None:
        return await self.caller.recall(key)

    async def verify(self, key: str, given: CallInput, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        included = await self.caller.settle(key, given.call, receipt)
        return Verification(True, f"{given.call} HALTed in block {included.height}", included.height, included.quorum)

    async def compensate(self, key: str, given: CallInput, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        raise Refused(
            "no-known-inverse",
            f"Tocsin does not know how to take {given.call} back",
            next_step="ask the contract team for the inverse call, and run it as a step of its own",
        )


def shown(value: StackValue) -> str:
    """A stack value in a form for people: text where the bytes are printable, else hexadecimal."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case bytes():
            text = value.decode("utf-8", errors="replace")
            return repr(text) if text.isprintable() and "\ufffd" not in text else f"0x{value.hex()}"
        case tuple():
            return f"[{', '.join(shown(item) for item in value)}]"


def _answers_no(spec: CallSpec, execution: Execution) -> bool:
    """Whether the call itself said no. A Boolean may come as Integer or bytes, which mean no Boolean elsewhere."""
    if not execution.stack:
        return False
    answer = execution.stack[0]
    return answer is False or (spec.returns is ParameterType.BOOLEAN and not is_true(answer))


def is_true(value: StackValue) -> bool:
    """Whether a stack value counts as true. Contracts answer Boolean, Integer or bytes (a missing key is Integer 0)."""
    if isinstance(value, bytes):
        return any(value)
    return bool(value)

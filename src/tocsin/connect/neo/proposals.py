"""Proposes transactions of accounts with several keys, looks whether they would still go through, and sends them once.

A proposal lives longer than a transaction that is sent at once, since people have to sign it; so it is tried again
before it is sent. What is sent stands in the outbox first, under the transaction's hash: whoever sends it again, with
whichever signatures, offers the bytes that stand there. Reading and writing the file is `exchange`'s, the words are
`describe`'s.
"""

import asyncio
import secrets
import statistics
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx2

from tocsin.connect.neo.broadcast import offer, refused
from tocsin.connect.neo.describe import GAS_CONTRACT
from tocsin.connect.neo.disassembly import PlainCall, Use, calls_in
from tocsin.connect.neo.exchange import PartlySigned
from tocsin.connect.neo.multisig import Verification
from tocsin.connect.neo.network import NetworkConfig
from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, answers_in, height_in, unavailable
from tocsin.connect.neo.payload import write_payload
from tocsin.connect.neo.quorum import agreed_height, agreement, providers_of
from tocsin.connect.neo.reader import NeoReader
from tocsin.connect.neo.rpc import RpcRejected, read
from tocsin.connect.neo.script import scope_of, script_for
from tocsin.connect.neo.values import as_json, execution_of
from tocsin.connect.neo.waiter import Waiter, sighting_at
from tocsin.connect.neo.wire import INVOCATION, NETWORK_FEE
from tocsin.connect.ports import (
    Argument,
    Execution,
    Included,
    Invocation,
    Outbox,
    OutboxEntry,
    OutboxStatus,
    ParameterType,
    Sent,
    StackValue,
)
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable

REHEARSALS_MAX = 5
"""How often answers that differ because a block came in between are asked for again."""
PURPOSE = "multi-signature"
"""What the outbox says of these transactions: no key of ours decides what they are for."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a transaction would do and cost now, on the state of block `height`; the fee in units of 10⁻⁸ GAS."""

    height: int
    execution: Execution
    network_fee: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """Where the chain stands, and about when the last block that may hold the transaction comes."""

    height: int
    at: datetime


class Proposals:
    """Shared transactions on one network."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes = nodes
        self._clock = clock
        self.reader = NeoReader(nodes)

    async def draft(self, call: Invocation, account: Verification, valid_for: timedelta) -> PartlySigned:
        """A transaction of the account that makes this call, without signatures.

        Its witness is for the called contract only. It stays valid for about `valid_for`, or as long as the network
        allows. The test invocation decides the system fee, and must HALT with an answer that is not false.

        Raises:
            Refused: it would FAULT or answer false, costs more than the limits, or the account can't pay for it.
            Unavailable: no quorum of endpoints could be asked.
        """
        magic = self._nodes.config.magic
        script, nonce = script_for([call]), secrets.randbits(32)
        contracts = scope_of([call], account.account).contracts

        def built(system_fee: Gas, network_fee: Gas, valid_until_block: int) -> PartlySigned:
            payload = write_payload(
                nonce=nonce,
                system_fee=system_fee,
                network_fee=network_fee,
                valid_until_block=valid_until_block,
                account=account.account,
                contracts=contracts,
                script=script,
            )
            return PartlySigned.of(payload, magic, [account])

        trial = await self.rehearse(built(Gas(0), Gas(0), 0))
        limits = self._nodes.config.fees
        _within("system", trial.execution.gas_consumed, limits.system_max)
        _within("network", Gas(trial.network_fee), limits.network_max)
        margin = trial.execution.gas_consumed.fractions * (100 + limits.system_margin_percent) // 100
        system_fee = Gas(max(1, min(margin, limits.system_max.fractions)))
        network_fee = Gas(max(1, trial.network_fee))
        await self._must_afford(account, system_fee + network_fee, trial.height)
        blocks = int(valid_for / timedelta(milliseconds=await self._nodes.block_ms()))
        blocks = max(1, min(blocks, await self._nodes.validity_max()))
        return built(system_fee, network_fee, trial.height + blocks)

    async def expiry(self, valid_until_block: int) -> Expiry:
        """How long the transaction can still be included.

        Raises:
            Refused: no block can hold it any more.
            Unavailable: no endpoint answered.
        """
        replies = await self._nodes.heights(enough=self._quorate)
        height = agreed_height(answers_in(replies), self._nodes.config.quorum)
        if height is None:
            raise unavailable("the height", replies)
        if height >= valid_until_block:
            raise Refused(
                "already-expired",
                f"the transaction could be in a block up to {valid_until_block}, and the chain is at {height}",
                next_step="propose it again; signatures of this one are of no use any more",
                data={"valid_until_block": valid_until_block, "height": height},
            )
        left = timedelta(milliseconds=(valid_until_block - height) * await self._nodes.block_ms())
        return Expiry(height, self._clock.now() + left)

    async def rehearse(self, partly: PartlySigned) -> Rehearsal:
        """What the transaction would do now, on the word of a quorum; its signers count as having signed.

        Raises:
            Refused: it would FAULT, or one of its calls would answer false.
            Unavailable: no quorum of endpoints agrees.
        """
        payload = partly.payload
        signers = [signer.as_json() for signer in payload.signers]
        script, sample = as_json(payload.script), as_json(partly.sample_bytes())

        async def question(node: Node) -> Rehearsal:
            count, invoked, fee = await node.rpc.batch(
                [
                    ("getblockcount", ()),
                    ("invokescript", (script, signers)),
                    ("calculatenetworkfee", (sample,)),
                ]
            )
            height = height_in(node, count)
            if isinstance(invoked, RpcRejected):
                raise invoked
            if isinstance(fee, RpcRejected):
                raise fee
            execution = execution_of(read(INVOCATION, invoked))
            return Rehearsal(height, execution, read(NETWORK_FEE, fee).networkfee)

        for _ in range(REHEARSALS_MAX):
            replies = await self._nodes.ask(question, enough=lambda answers: self._outcome(answers) is not None)
            outcome = self._outcome(answers := answers_in(replies))
            if outcome is not None:
                await self._must_do_it(partly, outcome)
                agreeing = [a.value for a in answers if _compared(a.value) == _compared(outcome)]
                return Rehearsal(
                    agreed_height([Answer(a.endpoint, a.value.height) for a in answers], self._nodes.config.quorum)
                    or 0,
                    outcome.execution,
                    statistics.median_high([each.network_fee for each in agreeing]),
                )
            if not self._quorate(answers):
                raise unavailable("a rehearsal that a quorum agrees on", replies)
            await asyncio.sleep(await self._nodes.poll_s())
        raise Unavailable(
            "no-quorum",
            "the endpoints do not agree on what the transaction would do",
            next_step="look at the endpoints that differ; the quorum is not lowered by itself",
        )

    async def send(self, partly: PartlySigned, outbox: Outbox) -> Included:
        """Sends the complete transaction, once, and waits until a quorum has it in a block with the wanted effect.

        Raises:
            Refused: signatures are missing, it has expired, or would not go through now; nothing was sent.
            Unavailable: too few endpoints answered before anything was sent.
            Failed: it expired without being included, FAULTed, or a call answered false.
            OutcomeUnknown: it may be on its way; code "unconfirmed" where it is in a block without a quorum saying so,
                "transaction-refused" where every endpoint refused it, though one may have kept it: it is not offered
                again, and sending it again only asks the chain what came of it.
        """
        raw, tx = partly.complete_bytes(), partly.payload.tx
        key = f"tx/{tx}"
        entry = await outbox.get(key)
        fresh = False
        if entry is None:
            # Somebody else may have sent it. Then there is nothing to try, and the wait finds out the rest.
            if not await self._seen(partly):
                await self.expiry(partly.payload.valid_until_block)
                await self.rehearse(partly)
            until = partly.payload.valid_until_block
            new = OutboxEntry(key, tx, raw, until, PURPOSE, self._clock.now())
            entry = await outbox.put(new)
            fresh = entry == new
        if entry.status is OutboxStatus.STORED:
            await self._offer(partly, entry, outbox, fresh=fresh)
        included = await Waiter(self._nodes, outbox).wait(Sent(key, tx, entry.valid_until_block))
        await self._must_have_done_it(partly, included)
        return included

    async def _offer(self, partly: PartlySigned, entry: OutboxEntry, outbox: Outbox, *, fresh: bool) -> None:
        said = await offer(self._nodes, entry.raw)
        if said.accepted or (said.refused_for_good and (not fresh or await self._seen(partly))):
            # Refused now says nothing about an earlier offer, and somebody else may have sent it: the wait finds out.
            return
        if said.refused_for_good:
            await outbox.settle(entry.key, OutboxStatus.REFUSED, None)
            raise refused(entry, said.reasons)
        raise OutcomeUnknown(
            "not-acknowledged",
            f"no endpoint said that it took transaction {entry.tx}: {said.reasons}",
            next_step="its bytes are kept; `tocsin tx send` offers the same transaction again",
            data={"tx": entry.tx, "valid_until_block": entry.valid_until_block},
        )

    async def _seen(self, partly: PartlySigned) -> bool:
        replies = await self._nodes.ask(lambda node: sighting_at(node, partly.payload.tx), enough=self._quorate)
        return any(answer.value.inclusion is not None for answer in answers_in(replies))

    async def _must_afford(self, account: Verification, fee: Gas, height: int) -> None:
        balance_of = Invocation(GAS_CONTRACT, "balanceOf", (Argument(ParameterType.HASH160, account.account),))
        reading = await self.reader.quorum_invoke([balance_of], at_least=height)
        match reading.execution.stack:
            case (int(fractions),) if fractions < fee.fractions:
                raise Refused(
                    "fee-not-covered",
                    f"{account.account} has {Gas(fractions)} GAS, and the transaction costs {fee} GAS",
                    next_step="send the account some GAS for fees, then propose again",
                    data={"balance": str(Gas(fractions)), "fee": str(fee)},
                )
            case _:
                return

    async def _must_do_it(self, partly: PartlySigned, trial: Rehearsal) -> None:
        execution = trial.execution
        if not execution.halted:
            exception = execution.exception or "no reason given"
            raise Refused(
                "rehearsal-faulted",
                f"the test invocation ends in FAULT: {exception}",
                next_step="nothing was sent; check method, arguments, the account's rights and its contract's state",
                data={"exception": exception},
            )
        if (call := await self._answering_false(partly, execution)) is not None:
            raise Refused(
                "call-answers-false",
                f"{call.contract}.{call.method} would run and answer false: the contract would not do it",
                next_step="nothing was sent; check the contract's conditions and the arguments",
            )

    async def _must_have_done_it(self, partly: PartlySigned, included: Included) -> None:
        where = f"transaction {included.tx} in block {included.height}"
        data = {"tx": included.tx, "height": included.height}
        if not included.execution.halted:
            raise Failed(
                "call-faulted",
                f"it FAULTed ({where}): {included.execution.exception or 'no reason given'}",
                next_step="nothing changed but the fee; mend the cause and propose again",
                data=data,
            )
        if (call := await self._answering_false(partly, included.execution)) is not None:
            raise Failed(
                "call-answered-false",
                f"{call.contract}.{call.method} ran and answered false ({where}): the contract did not do it",
                next_step="read the contract's state, then propose again",
                data=data,
            )

    async def _answering_false(self, partly: PartlySigned, execution: Execution) -> PlainCall | None:
        """The first call whose answer is no; a script that is no plain sequence of calls answers for itself."""
        kept = [call for call in calls_in(partly.payload.script) or () if call.use is Use.KEPT]
        if len(kept) != len(execution.stack):
            return None
        for call, answer in zip(kept, execution.stack, strict=True):
            if answer is False or (not _is_true(answer) and await self._returns_boolean(call)):
                return call
        return None

    async def _returns_boolean(self, call: PlainCall) -> bool:
        manifest = await self.reader.manifest(call.contract)
        found = [m for m in manifest.methods if m.name == call.method and len(m.parameters) == len(call.arguments)]
        return any(method.returns is ParameterType.BOOLEAN for method in found)

    def _outcome(self, answers: Sequence[Answer[Rehearsal]]) -> Rehearsal | None:
        agreed = agreement(answers, self._nodes.config.quorum, _compared)
        if agreed is None:
            return None
        return next(answer.value for answer in answers if _compared(answer.value) == agreed.value)

    def _quorate[T](self, answers: Sequence[Answer[T]]) -> bool:
        return len(providers_of(answers)) >= self._nodes.config.quorum


@asynccontextmanager
async def open_proposals(config: NetworkConfig, clock: Clock) -> AsyncGenerator[Proposals]:
    """Connects to the network. Nothing is asked of it yet."""
    connect_s = config.times.request_s / 2
    timeout = httpx2.Timeout(config.times.request_s, connect=connect_s, pool=connect_s)
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as http:
        nodes = Nodes(config, http)
        try:
            yield Proposals(nodes, clock)
        finally:
            await nodes.close()


type _Compared = tuple[bool, str | None, tuple[StackValue, ...]]


def _compared(trial: Rehearsal) -> _Compared:
    return (trial.execution.halted, trial.execution.exception, trial.execution.stack)


def _is_true(answer: StackValue) -> bool:
    return any(answer) if isinstance(answer, bytes) else bool(answer)


def _within(kind: str, fee: Gas, limit: Gas) -> None:
    if fee > limit:
        raise Refused(
            "fee-over-limit",
            f"the {kind} fee would be {fee} GAS, and the limit is {limit} GAS",
            next_step="raise the limit in the configuration if this is right",
            data={"fee": str(fee), "limit": str(limit)},
        )

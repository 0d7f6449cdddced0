"""Reads the chain: heights, manifests, test invocations, and readings that a quorum of providers agrees on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, Reply, Silence, answers_in, height_in, unavailable
from tocsin.connect.neo.quorum import Agreement, agreed_height, agreement, providers_of
from tocsin.connect.neo.rpc import RpcRejected, TransportFailed, read
from tocsin.connect.neo.script import script_for, signers_json
from tocsin.connect.neo.values import as_json, execution_of, manifest_of
from tocsin.connect.neo.wire import CONTRACT_STATE, INVOCATION
from tocsin.connect.ports import Execution, Invocation, Manifest, QuorumReading, Signer, StackValue
from tocsin.domain.actions import QuorumResult
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

UNKNOWN_CONTRACT = -102
SHOWN_MAX = 200
"""How many characters of an answer a message quotes."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A test invocation at one endpoint: what it did, on the state of block `height` or a later one."""

    height: int
    execution: Execution


type Outcome = tuple[bool, str | None, tuple[StackValue, ...]]
"""What of an execution a quorum compares: state, exception and stack. Gas may differ between versions of the node."""


class NeoReader:
    """`ChainReader` over the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._quorum = nodes.config.quorum

    async def height(self) -> int:
        """The highest block that a quorum of providers has; where fewer answer, one that all of those have.

        Raises:
            Unavailable: no endpoint answered.
        """
        replies = await self._nodes.heights(enough=lambda answers: len(providers_of(answers)) >= self._quorum)
        height = agreed_height(answers_in(replies), self._quorum)
        if height is None:
            raise unavailable("the height", replies)
        return height

    async def manifest(self, contract: ScriptHash) -> Manifest:
        """The contract's manifest.

        Raises:
            Refused: no contract stands at this hash.
            Unavailable: no endpoint answered.
        """

        async def question(node: Node) -> Manifest | None:
            try:
                return manifest_of(await node.rpc.call(CONTRACT_STATE, "getcontractstate", contract))
            except RpcRejected as rejected:
                if rejected.code == UNKNOWN_CONTRACT:
                    return None
                raise

        # That there is no such contract is not believed of one endpoint while another may still know it.
        replies = await self._nodes.ask(question, enough=lambda answers: any(answer.value for answer in answers))
        answers = answers_in(replies)
        for answer in answers:
            if answer.value is not None:
                return answer.value
        if not answers:
            raise unavailable(f"the manifest of {contract}", replies)
        raise Refused("contract-unknown", f"no contract stands at {contract}", next_step="check the configured hash")

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[Signer] = ()) -> Execution:
        """Runs the calls as one script on the newest state that an endpoint has.

        Raises:
            Refused: an argument does not fit its type.
            Unavailable: no endpoint answered.
        """
        parameters = invocation_parameters(calls, signers)
        replies = await self._nodes.ask(lambda node: trial_at(node, parameters))
        if not (answers := answers_in(replies)):
            raise unavailable("a test invocation", replies)
        return max((answer.value for answer in answers), key=lambda trial: trial.height).execution

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[Signer] = (), *, at_least: int
    ) -> QuorumReading:
        """The same test invocation on every endpoint at height `at_least` or above; providers count once.

        Endpoints that lag are waited for, and answers that differ because a block came in between are asked for again,
        until `TimeLimits.quorum_s` is over. The quorum is never lowered.

        Raises:
            Refused: an argument does not fit its type.
            Unavailable: fewer independent providers agree than the quorum needs; the message names each one's answer.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._nodes.config.times.quorum_s
        parameters = invocation_parameters(calls, signers)
        poll_s = await self._nodes.poll_s()

        async def question(node: Node) -> Trial:
            while (trial := await trial_at(node, parameters)).height < at_least:
                if loop.time() + poll_s > deadline:
                    raise TransportFailed(f"at block {trial.height}, behind {at_least}", delivered=True)
                await asyncio.sleep(poll_s)
            return trial

        while True:
            replies = await self._nodes.ask(question, enough=lambda answers: self._agreed(answers) is not None)
            if (agreed := self._agreed(answers_in(replies))) is not None:
                return self._reading(agreed, replies)
            # Different answers on the same block are no accident of timing: asking again would not help.
            heights = {reply.value.height if isinstance(reply, Answer) else None for reply in replies}
            if (len(heights) == 1 and None not in heights) or loop.time() + poll_s > deadline:
                raise self._no_quorum(replies, at_least)
            await asyncio.sleep(poll_s)

    def _agreed(self, answers: Sequence[Answer[Trial]]) -> Agreement[Outcome] | None:
        return agreement(answers, self._quorum, lambda trial: _outcome(trial.execution))

    def _reading(self, agreed: Agreement[Outcome], replies: Sequence[Reply[Trial]]) -> QuorumReading:
        trials = [answer.value for answer in answers_in(replies) if answer.endpoint.provider in agreed.providers]
        return QuorumReading(
            execution=trials[0].execution,
            height=min(trial.height for trial in trials),
            quorum=self._result(len(agreed.providers)),
            dissent=tuple(_show(reply) for reply in replies if reply.endpoint.provider not in agreed.providers),
        )

    def _no_quorum(self, replies: Sequence[Reply[Trial]], at_least: int) -> Unavailable:
        shown = [_show(reply) for reply in replies]
        return Unavailable(
            "no-quorum",
            f"no {self._quorum} independent providers agree at block {at_least} or above: {'; '.join(shown)}",
            next_step="look at the endpoints that differ or are silent; the quorum is not lowered by itself",
            data={"needed": self._quorum, "of": len(self._nodes.config.providers), "answers": shown},
        )

    def _result(self, confirmed: int) -> QuorumResult:
        return QuorumResult(needed=self._quorum, confirmed=confirmed, of=len(self._nodes.config.providers))


def invocation_parameters(calls: Sequence[Invocation], signers: Sequence[Signer]) -> tuple[Json, ...]:
    """The parameters of `invokescript`.

    Raises:
        Refused: an argument does not fit its type.
    """
    shown: Sequence[Mapping[str, Json]] = signers_json(signers)
    return (as_json(script_for(calls)), shown)


async def trial_at(node: Node, parameters: tuple[Json, ...]) -> Trial:
    """A test invocation at one endpoint. The height is asked first and in one batch: the state is never older than it.

    Raises:
        RpcFailure: the endpoint gave no answer.
    """
    count, invoked = await node.rpc.batch([("getblockcount", ()), ("invokescript", parameters)])
    height = height_in(node, count)
    if isinstance(invoked, RpcRejected):
        raise invoked
    return Trial(height, execution_of(read(INVOCATION, invoked)))


def _outcome(execution: Execution) -> Outcome:
    return (execution.halted, execution.exception, execution.stack)


def _show(reply: Reply[Trial]) -> str:
    if isinstance(reply, Silence):
        return str(reply)
    trial = reply.value
    said = f"HALT {trial.execution.stack}" if trial.execution.halted else f"FAULT {trial.execution.exception}"
    return f"{reply.endpoint.name}: at block {trial.height}, {said[:SHOWN_MAX]}"

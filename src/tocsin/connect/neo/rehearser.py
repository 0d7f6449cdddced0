"""Rehearses pending transactions: what each would do now, from the endpoint that answers soonest.

The transaction goes to `invokecontainedscript` exactly as a node told of it, over an open line. What the execution
means is for rules to say; here it is only told apart from one that can't be judged.
"""

from tocsin.connect.neo.node import Node
from tocsin.connect.neo.nodes import Answer, Nodes, Question, Reply, answers_in
from tocsin.connect.neo.quorum import agreement, supporters
from tocsin.connect.neo.values import execution_of
from tocsin.connect.neo.wire import INVOCATION
from tocsin.connect.ports import Execution, Notification
from tocsin.connect.reflex_ports import MempoolTransaction
from tocsin.domain.errors import Unavailable

HEDGE_S = 0.05
"""After this long without an answer the next endpoint is asked as well."""
LATENCY_UNKNOWN_S = 1.0
_GAS_LIMIT = ("gas limit exceeded", "insufficient gas", "gas_limit")
"""How nodes (neo-go first) say in lower case that a rehearsal came to the end of what they spend on one."""

type Outcome = tuple[bool, str | None, tuple[Notification, ...]]
"""What of a rehearsal providers must agree on. Gas may differ between versions of the node."""


class NeoRehearser:
    """`Rehearser` over the endpoints of a network."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def rehearse(self, tx: MempoolTransaction, *, providers: int = 1) -> Execution:
        """See `Rehearser.rehearse`."""

        async def question(node: Node) -> Execution:
            answer = await node.rehearsals.call(INVOCATION, "invokecontainedscript", tx.content)
            return execution_of(answer, container=tx.tx)

        if providers == 1:
            try:
                execution = await self._nodes.first(
                    question, what="a rehearsal", order=_soonest, patience_s=self._patience_s()
                )
            except Unavailable as error:
                raise _unjudged(tx, "rehearsal-unanswered", error.message) from error
        else:
            execution = await self._agreed(tx, question, providers)
        # One that pays for less than the rehearsal has used runs out of it in a block too: an ordinary FAULT.
        if not execution.halted and _out_of_gas(execution) and tx.system_fee > execution.gas_consumed:
            raise _unjudged(tx, "rehearsal-over-gas-limit", "it pays for more GAS than a rehearsal may use")
        return execution

    async def _agreed(self, tx: MempoolTransaction, question: Question[Execution], providers: int) -> Execution:
        replies = await self._nodes.ask(
            question, enough=lambda answers: agreement(answers, providers, _outcome) is not None
        )
        answers = answers_in(replies)
        agreed = agreement(answers, providers, _outcome)
        if agreed is not None:
            return next(each.value for each in answers if _outcome(each.value) == agreed.value)
        said = supporters(answers, _outcome)
        shown = "; ".join(map(_shown, replies))
        code = "rehearsal-disputed" if len(said) > 1 else "rehearsal-unanswered"
        raise _unjudged(tx, code, f"no {providers} independent providers say the same of it: {shown}")

    def _patience_s(self) -> float:
        known = [node.latency_s for node in self._nodes.all if node.latency_s is not None]
        return max(HEDGE_S, 3 * min(known, default=0.0))


def _soonest(node: Node) -> float:
    """The idle line with the lowest latency first: a node answers the calls of one connection in turn."""
    latency_s = LATENCY_UNKNOWN_S if node.latency_s is None else node.latency_s
    return latency_s * (1 + node.rehearsals.under_way)


def _outcome(execution: Execution) -> Outcome:
    return (execution.halted, execution.exception, execution.notifications)


def _shown(reply: Reply[Execution]) -> str:
    if not isinstance(reply, Answer):
        return str(reply)
    did = (
        f"{len(reply.value.notifications)} notifications"
        if reply.value.halted
        else reply.value.exception or "no reason"
    )
    return f"{reply.endpoint.name}: {'HALT' if reply.value.halted else 'FAULT'}, {did}"


def _out_of_gas(execution: Execution) -> bool:
    reason = (execution.exception or "").lower()
    return any(mark in reason for mark in _GAS_LIMIT)


def _unjudged(tx: MempoolTransaction, code: str, why: str) -> Unavailable:
    return Unavailable(
        code,
        f"what transaction {tx.tx} would do can't be judged: {why}",
        next_step="look at it: its sender, its script, the contracts that it calls",
        data={"tx": tx.tx, "sender": tx.sender, "endpoint": tx.endpoint},
    )

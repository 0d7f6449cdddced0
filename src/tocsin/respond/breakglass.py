"""Break glass: pauses without server, database or approval, with nothing but an outbox, a sender and a reader.

It is the same `contract.pause` that a procedure runs, on the same ladder, with other answers to doubt: one person is
enough, one node that answers is enough to send, and what a quorum could not confirm is reported as just that. What was
signed stands in the outbox before it is sent, under a key that the next run finds again, so that running the command
twice, at once or after a crash, sends the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tocsin.actions.contract import is_true
from tocsin.actions.pause import ContractPause, PauseInput
from tocsin.actions.protocol import Preflight, Receipt
from tocsin.connect.ports import (
    ChainReader,
    ChainSender,
    Invocation,
    OutboxEntry,
    OutboxStatus,
    PauseOutbox,
    Presigner,
)
from tocsin.domain.actions import QuorumResult, Verification
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.canonical import Json
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.hashes import TxHash
from tocsin.respond.pause_ways import PauseWays
from tocsin.respond.presigned import PresignedSender

RESULT = "result"
"""The remark in the outbox that says what came of a pause."""
PURPOSE = "pause"

_FAULTS = frozenset({"test-invocation-faulted", "call-answers-false", "pause-would-not-hold", "pause-unreadable"})
"""Refusals that are the chain's word about the call, as one endpoint gave it; the only ones that can be overridden."""
_ROUNDS_MAX = 2
"""A pause that stood in the outbox and was lifted since, and then the one that is wanted now."""


class Ending(StrEnum):
    """How it ended, for scripts."""

    PAUSED = "paused"
    ALREADY_PAUSED = "already-paused"
    WOULD_PAUSE = "would-pause"
    UNCONFIRMED = "unconfirmed"
    NOT_HELD = "not-held"


@dataclass(frozen=True, slots=True)
class PauseOutcome:
    """What was done and what is known of it.

    `summary` is one sentence. `joined` says whose earlier bytes were sent, where they are not this run's own. `doubts`
    are sentences about what speaks against it. `quorum` without having been reached says how far it came.
    """

    ending: Ending
    target: PauseTarget
    stops: str
    call: str
    summary: str
    tx: TxHash | None = None
    valid_until_block: int | None = None
    height: int | None = None
    quorum: QuorumResult | None = None
    effect_probe: str | None = None
    joined: str | None = None
    doubts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The outcome as a JSON object."""
        quorum = self.quorum
        return {
            "outcome": self.ending,
            "target": str(self.target),
            "stops": self.stops,
            "call": self.call,
            "summary": self.summary,
            "tx": self.tx,
            "valid_until_block": self.valid_until_block,
            "height": self.height,
            "quorum": quorum and {"needed": quorum.needed, "confirmed": quorum.confirmed, "of": quorum.of},
            "effect_probe": self.effect_probe,
            "joined": self.joined,
            "doubts": list(self.doubts),
        }


type MakeAction = Callable[[ChainSender], ContractPause]
"""The pause action of this platform, sending by the given sender."""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """What break glass works with.

    `run` marks the entries of this run in the outbox (`about` has it under the same name); `tell` shows progress.
    """

    ways: PauseWays
    action: MakeAction
    reader: ChainReader
    sender: ChainSender
    presigner: Presigner
    outbox: PauseOutbox
    clock: Clock
    run: str
    tell: Callable[[str], None]

    async def pause(
        self, target: PauseTarget, reason: str, *, dry_run: bool = False, force: bool = False
    ) -> PauseOutcome:
        """Pauses the target now, with the key at hand. `force` goes on where the rehearsal FAULTs.

        Raises:
            ConfigurationInvalid, Refused, Unavailable: nothing was sent.
            OutcomeUnknown: no endpoint said whether it took the transaction, or every endpoint refused it.
            Failed: it is known not to have taken effect.
        """
        action = self.action(self.sender)
        given = await action.bind(self.ways.arguments(target, reason))
        # Before the preflight: what another run signs after this look is then found under this key, and joined.
        key, stood = await self._key(target)
        try:
            plan, doubts = await action.preflight(given), ()
        except Refused as refused:
            plan, doubts = await self._although(refused, action, given, force=force), (refused.message,)
            if force:
                action = self.action(PresignedSender(self.sender, self.presigner, self.outbox, self._seal_anyway))
        return await self.carry_out(action, given, target, plan, key=key, stood=stood, doubts=doubts, dry_run=dry_run)

    async def carry_out(
        self,
        action: ContractPause,
        given: PauseInput,
        target: PauseTarget,
        plan: Preflight,
        *,
        key: str,
        stood: bool = False,
        doubts: tuple[str, ...] = (),
        dry_run: bool = False,
    ) -> PauseOutcome:
        """Sends and verifies what has been preflighted, under `key`.

        `stood` says that earlier bytes stand under it, and that the target's next key is to be taken if they are spent.

        Raises: as `pause`.
        """
        sentence = f"would {plan.summary}"
        outcome = PauseOutcome(Ending.WOULD_PAUSE, target, given.stops, str(given.call), sentence, doubts=doubts)
        already = plan.before.get("paused") is True
        if already and (seen := await self._seen(action, given, plan.before)) is not None:
            sentence = f"{given.stops} is paused already at height {seen.height}; nothing was sent"
            return _with(replace(outcome, ending=Ending.ALREADY_PAUSED, summary=sentence), seen)
        if dry_run:
            return outcome
        self.tell(f"Going to {plan.summary}")
        if already:
            # Whoever says so may lag, lie, or have been restored; and to pause a second time does no harm.
            self.tell("No quorum confirms that it is paused already, so the pause is sent all the same.")
        try:
            return await self._send(action, given, outcome, {**plan.before, "paused": False}, key, stood=stood)
        except Refused as refused:
            if not already:
                raise
            sentence = (
                f"{given.stops} is paused on the word of too few, and a second pause is refused; nothing was sent"
            )
            return replace(outcome, ending=Ending.UNCONFIRMED, summary=sentence, doubts=(*doubts, refused.message))

    async def _send(
        self,
        action: ContractPause,
        given: PauseInput,
        outcome: PauseOutcome,
        before: Mapping[str, Json],
        key: str,
        *,
        stood: bool,
    ) -> PauseOutcome:
        for _ in range(_ROUNDS_MAX):
            try:
                receipt = await action.run(key, given, before)
                sent = await self._accepted(outcome, key, receipt)
                ended = await self._verified(action, key, given, before, receipt, sent)
            except (Failed, OutcomeUnknown) as error:
                await self._remark(key, {"outcome": error.code, "summary": error.message})
                if not (stood and isinstance(error, Failed)):
                    raise
                self.tell(f"The transaction that stood in the outbox came to nothing: {error.message}")
            else:
                await self._remark(key, ended.as_json())
                if not (stood and ended.ending is Ending.NOT_HELD):
                    return ended
                self.tell(
                    f"The transaction that stood in the outbox, {ended.tx}, is spent, and what it did was lifted."
                )
            key, stood = await self._key(outcome.target)
        raise Refused(
            "outbox-changes",
            "transactions of other runs stood in the outbox each time, and none of them holds",
            next_step="run the command again",
        )

    async def _although(self, refused: Refused, action: ContractPause, given: PauseInput, *, force: bool) -> Preflight:
        """The plan for going on although one endpoint's rehearsal FAULTs; raises the refusal where that is not done."""
        if refused.code not in _FAULTS:
            raise refused
        if force:
            self.tell(f"Going on by force, although {refused.message}")
        elif not await self._others_say_it_holds(action, given):
            refused.next_step = f"{refused.next_step}; --force sends it all the same".removeprefix("; ")
            raise refused
        probes, unproven = await action.probe(given)
        return Preflight(f"pause {given.stops}: {given.call}{unproven}", {"paused": False, "probes": probes})

    async def _others_say_it_holds(self, action: ContractPause, given: PauseInput) -> bool:
        """Whether a quorum has the rehearsal HALT and the pause hold, whatever the one endpoint said."""
        call = given.call.invocation()
        signer = await action.caller.signer(call)
        try:
            reading = await self.reader.quorum_invoke([call, given.paused.invocation()], [signer], at_least=0)
        except Unavailable:
            return False
        stack = reading.execution.stack
        return reading.execution.halted and len(stack) == 2 and stack[0] is not False and is_true(stack[1])

    async def _seen(self, action: ContractPause, given: PauseInput, before: Mapping[str, Json]) -> Verification | None:
        """The quorum's word that the pause holds already; None where it does not, or where there is no quorum."""
        try:
            seen = await action.verify("", given, before, Receipt())
        except Unavailable:
            return None
        return seen if seen.holds else None

    async def _key(self, target: PauseTarget) -> tuple[str, bool]:
        """The key to send under, and whether bytes stand under it that may still come to the chain.

        The keys of a target are numbered. The newest one serves again until it is settled or expired. One that every
        endpoint refused is not waited for, although it may still be included: two pauses do no more than one.
        """
        prefix = f"pause/{target}/"
        entries = [page.entry for page in await self.outbox.pages() if page.entry.key.startswith(prefix)]
        newest = entries[-1] if entries else None
        stored = newest is not None and newest.status is OutboxStatus.STORED
        if newest is not None and stored and newest.valid_until_block > await self.reader.height():
            return newest.key, True
        return f"{prefix}{len(entries) + 1}", False

    async def _accepted(self, outcome: PauseOutcome, key: str, receipt: Receipt) -> PauseOutcome:
        self.tell(f"Accepted: transaction {receipt.tx}, valid until block {receipt.valid_until_block}")
        joined: str | None = None
        page = next((page for page in await self.outbox.pages() if page.entry.key == key), None)
        if page is not None and page.about.get("run") != self.run:
            by, reason = page.about.get("by"), page.about.get("reason")
            joined = f"{by} had signed it at {page.entry.created_at:%H:%M:%S} UTC (“{reason}”)"
            self.tell(f"These bytes stood in the outbox and were sent again: {joined}")
        return replace(outcome, tx=receipt.tx, valid_until_block=receipt.valid_until_block, joined=joined)

    async def _verified(
        self,
        action: ContractPause,
        key: str,
        given: PauseInput,
        before: Mapping[str, Json],
        receipt: Receipt,
        outcome: PauseOutcome,
    ) -> PauseOutcome:
        try:
            seen = await action.verify(key, given, before, receipt)
        except (OutcomeUnknown, Unavailable) as error:
            return _unconfirmed(outcome, error)
        ending = Ending.PAUSED if seen.holds else Ending.NOT_HELD
        return _with(replace(outcome, ending=ending, summary=seen.summary), seen)

    async def _seal_anyway(self, key: str, calls: Sequence[Invocation]) -> OutboxEntry:
        return await self.presigner.seal(key, calls, purpose=PURPOSE, although_it_faults=True)

    async def _remark(self, key: str, facts: Mapping[str, Json]) -> None:
        if await self.outbox.get(key) is None:
            return
        try:
            await self.outbox.remark(key, RESULT, {**facts, "at": self.clock.now().isoformat()})
        except Unavailable as error:
            self.tell(f"The result can't be kept for the server: {error.message}")


def _with(outcome: PauseOutcome, seen: Verification) -> PauseOutcome:
    return replace(outcome, height=seen.height, quorum=seen.quorum, effect_probe=seen.effect_probe)


def _unconfirmed(outcome: PauseOutcome, error: OutcomeUnknown | Unavailable) -> PauseOutcome:
    """The transaction was accepted by somebody, and no quorum has said yet what it did."""
    facts = {name: value for name, value in error.data.items() if isinstance(value, int)}
    quorum = QuorumResult(facts.get("needed", 0), facts.get("confirmed", 0), facts.get("of", 0))
    return replace(
        outcome,
        ending=Ending.UNCONFIRMED,
        summary=f"sent, unconfirmed ({quorum.confirmed} of {quorum.needed})",
        height=facts.get("height"),
        quorum=quorum,
        doubts=(*outcome.doubts, error.message),
    )

"""Runbooks that may run: kept by hash, compiled once, inert until people have accepted them.

A runbook is code, and is guarded like code. The first acceptance, and one in which an action that changes something is
new or different, need two people; other changes need one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from tocsin.domain.canonical import canonical_bytes
from tocsin.domain.clock import Clock
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.ports import RunbookStore
from tocsin.runbook.compile import compile_runbook, hash_of
from tocsin.runbook.model import Runbook

log = structlog.get_logger(__name__)

READING_ACTIONS = frozenset({"contract.read", "rpc.query", "http.get", "workload.status", "workload.logs"})
"""Verbs that change nothing; every other verb, also one that is unknown here, counts as changing."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Where the acceptance of a runbook stands."""

    runbook: Runbook
    needed: int
    accepted_by: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return len(self.accepted_by) >= self.needed


@dataclass
class Library:
    """The runbooks of the installation."""

    store: RunbookStore
    principals: Principals
    clock: Clock
    _compiled: dict[str, Runbook] = field(default_factory=dict[str, Runbook])

    async def accept(self, text: bytes, file: str, principal: str, sign: SignMessage) -> Acceptance:
        """Records a principal's signed acceptance of exactly this text.

        Raises:
            ConfigurationInvalid: the text is no runbook.
            Refused: the principal is not enrolled, or the signature is not theirs.
        """
        runbook = compile_runbook(text, file)
        person = self.principals.get(principal)
        signature = sign(acceptance_message(runbook.hash))
        if not self.principals.is_signed_by(person, acceptance_message(runbook.hash), signature):
            raise Refused(
                "acceptance-not-signed",
                f"the acceptance is not signed by the enrolled key of {principal}",
                next_step="accept with the key that is enrolled under [people]",
            )
        await self.store.keep(runbook.hash, text.decode(), file)
        needed = _needed(await self._in_force(), runbook)
        await self.store.accept(runbook.hash, principal, signature, self.clock.now(), needed=needed)
        return await self.acceptance(runbook)

    async def acceptance(self, runbook: Runbook) -> Acceptance:
        """Where the acceptance of this runbook stands, against the one that would be in force without it.

        A forged acceptance does not count, nor one of somebody who is not enrolled any more.
        """
        before = await self._in_force(without=runbook.hash)
        return Acceptance(runbook, _needed(before, runbook), await self._accepted_by(runbook.hash))

    async def accepted(self) -> Runbook:
        """The runbook that new incidents follow: the one whose acceptance was completed last.

        Raises:
            Refused: none is accepted.
        """
        found = await self._in_force()
        if found is None:
            raise Refused(
                "no-runbook-accepted",
                "no runbook is accepted, so no procedure can run",
                next_step="two people run `tocsin runbook accept --as NAME`",
            )
        return found

    async def _in_force(self, without: str | None = None) -> Runbook | None:
        """The runbook in force, made of signatures alone: how many people a runbook needed is never read, but derived
        from the one that was in force before it.

        One whose text is lost or altered is as if nobody had accepted it; the sound ones stay.
        """
        standing: Runbook | None = None
        for hash_ in reversed(await self.store.newest_first()):
            if hash_ == without:
                continue
            try:
                runbook = await self.pinned(hash_)
            except (Refused, ConfigurationInvalid) as unusable:
                log.error("runbook_unusable", runbook=hash_[:12], why=unusable.message, next=unusable.next_step)
                continue
            if len(await self._accepted_by(hash_)) >= _needed(standing, runbook):
                standing = runbook
        return standing

    async def _accepted_by(self, hash_: str) -> tuple[str, ...]:
        message = acceptance_message(hash_)
        rows = await self.store.acceptances(hash_)
        by_key: dict[str, str] = {}
        for row in rows:
            key = self.principals.signing_key(row.principal, message, row.signature)
            if key is not None:
                by_key.setdefault(key, row.principal)
        return tuple(by_key.values())

    async def pinned(self, hash_: str) -> Runbook:
        """The runbook with this hash, as an incident pinned it.

        Raises:
            Refused: it is not in the store, or what stands there is another text.
            ConfigurationInvalid: it was a runbook once, and this version can't read it any more.
        """
        if hash_ not in self._compiled:
            kept = await self.store.text(hash_)
            if kept is None:
                raise Refused(
                    "runbook-missing", f"the store has no runbook {hash_[:12]}", next_step="restore the store"
                )
            text, file = kept
            content = text.encode()
            if hash_of(content) != hash_:  # before it is read: an altered text need not be a runbook
                raise Refused(
                    "runbook-altered",
                    f"the text that the store has for runbook {hash_[:12]} is another one: somebody altered the store",
                    next_step="restore the store from a backup, and find out who can write to it",
                )
            self._compiled[hash_] = compile_runbook(content, file)
        return self._compiled[hash_]


def _needed(standing: Runbook | None, runbook: Runbook) -> int:
    """How many people must accept: one where nothing that changes something differs from the standing runbook."""
    return 1 if standing is not None and changing_calls(standing) == changing_calls(runbook) else 2


def acceptance_message(runbook_hash: str) -> bytes:
    """The bytes that an accepting person signs."""
    return f"tocsin runbook acceptance\n{runbook_hash}".encode()


def changing_calls(runbook: Runbook) -> Sequence[bytes]:
    """The calls of the runbook's emergencies that change something, with where and how they stand in the procedure.

    Whether a call asks (as one inferred from a plain fence does) and under which condition it runs belong to it.
    """
    calls: list[bytes] = []
    for emergency in runbook.emergencies:
        for step in emergency.steps:
            for number, choice in enumerate(step.choices):
                for command in choice.alternatives:
                    call = command.call
                    if call is not None and call.action not in READING_ACTIONS:
                        where = [emergency.slug, step.number, step.condition, number]
                        calls.append(canonical_bytes([*where, call.action, call.inferred, dict(call.arguments)]))
    return calls

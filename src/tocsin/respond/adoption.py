"""Takes what break glass did while the server was away into the timeline: the pauses in its outbox file become notes.

For each signed pause the open incident of the configured emergency is joined, or one is declared. What became of the
transaction may be known only later (it is asked of the chain here, and its bytes are offered again until it is known);
every change of that is another note. All of it may be repeated and may be interrupted: notes have keys.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from tocsin.connect.ports import ChainSender, OutboxPage, OutboxStatus, PauseOutbox, Sent
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tocsin.domain.hashes import TxHash
from tocsin.domain.principals import TOCSIN
from tocsin.incident.events import NoteAdded
from tocsin.respond.breakglass import RESULT
from tocsin.respond.incidents import Incidents

log = structlog.get_logger(__name__)

ADOPTED = "adopted"
"""The remark in the outbox that names the incident, and what it has been told."""
LOOK_S = 1.0
"""How often the outbox files are looked at; they are small."""
SETTLE_S_MAX = 5.0
"""How long one look waits for the chain to say what became of a transaction; the next look goes on with it."""
INCIDENTS_MAX = 100
"""How many of the newest incidents are searched for notes of an earlier adoption whose remark could not be written."""


@dataclass
class Adoption:
    """Adopts from the outboxes that `outboxes` finds; `sender` gives a sender whose outbox is the given one."""

    incidents: Incidents
    emergency: str
    outboxes: Callable[[], Sequence[PauseOutbox]]
    sender: Callable[[PauseOutbox], ChainSender]
    # By transaction: two outbox files may number their entries alike.
    _told: dict[TxHash, str] = field(default_factory=dict[TxHash, str])

    async def watch(self) -> None:
        """Adopts what is there and what comes, until it is cancelled."""
        problem = ""
        while True:
            try:
                await self.adopt()
                problem = ""
            except (Refused, Unavailable) as error:
                # No runbook is accepted yet, or the file is another user's: said once, and tried again.
                if error.message != problem:
                    log.warning("break_glass_not_adopted", why=error.message, next=error.next_step)
                problem = error.message
            await asyncio.sleep(LOOK_S)

    async def adopt(self) -> Sequence[str]:
        """Adopts everything once; returns the incidents that were told something.

        Raises:
            Refused: no incident of the emergency can be declared.
            Unavailable: an outbox or the store can't be used.
        """
        incidents: list[str] = []
        for outbox in await asyncio.to_thread(self.outboxes):
            for page in await outbox.pages():
                if page.entry.status is OutboxStatus.STORED:
                    await self._ask_the_chain(outbox, page)
            told = [await self._tell(outbox, page) for page in await outbox.pages()]
            incidents += [incident for incident in told if incident is not None]
        return incidents

    async def _ask_the_chain(self, outbox: PauseOutbox, page: OutboxPage) -> None:
        sent = Sent(page.entry.key, page.entry.tx, page.entry.valid_until_block)
        # The wait settles the entry; that it is not over in time, or failed, is seen there.
        with contextlib.suppress(TimeoutError, Failed, OutcomeUnknown, Unavailable):
            async with asyncio.timeout(SETTLE_S_MAX):
                await self.sender(outbox).wait(sent)

    async def _tell(self, outbox: PauseOutbox, page: OutboxPage) -> str | None:
        state = _state(page)
        adopted = page.remarks.get(ADOPTED, {})
        if state in (adopted.get("told"), self._told.get(page.entry.tx)):
            return None
        note = NoteAdded(_sentence(page, state))
        key = f"break-glass:{page.entry.tx}:{state}"
        known = adopted.get("incident")
        incident = known if isinstance(known, str) else await self._found(page)
        if incident is None:
            incident = await self._joined(page)
        await self.incidents.record(incident, note, TOCSIN.id, key=key)
        self._told[page.entry.tx] = state
        try:
            await outbox.remark(page.entry.key, ADOPTED, {"incident": incident, "told": state})
        except Unavailable as error:
            log.warning("break_glass_file_read_only", why=error.message)
        return incident

    async def _found(self, page: OutboxPage) -> str | None:
        """The incident that has a note of this transaction already."""
        prefix = f"break-glass:{page.entry.tx}:"
        for summary in (await self.incidents.summaries())[:INCIDENTS_MAX]:
            if any(recorded.key.startswith(prefix) for recorded in await self.incidents.history(summary.id)):
                return summary.id
        return None

    async def _joined(self, page: OutboxPage) -> str:
        """The newest open incident of the emergency; declared now where none is open."""
        for summary in await self.incidents.summaries():
            if summary.is_open and summary.emergency == self.emergency:
                return summary.id
        incident, _ = await self.incidents.declare(
            self.emergency,
            principal=TOCSIN.id,
            reason=f"break glass by {page.about.get('by')}: {page.about.get('reason')}",
            key=f"break-glass:{page.entry.tx}",
        )
        return incident


def _state(page: OutboxPage) -> str:
    """What is known of the transaction, in words. Another state is another note."""
    entry, outcome = page.entry, page.remarks.get(RESULT, {}).get("outcome")
    match entry.status:
        case OutboxStatus.INCLUDED:
            held = "the pause holds" if outcome == "paused" else "nobody has verified yet that the pause holds"
            held = "but the pause does not hold" if outcome == "not-held" else held
            return f"in block {entry.height}; {held}"
        case OutboxStatus.STORED:
            return "sent, not confirmed yet"
        case OutboxStatus.REFUSED:
            last = entry.valid_until_block
            return f"every endpoint refused it; only one that kept it could still include it, up to block {last}"
        case OutboxStatus.EXPIRED:
            return f"expired with block {entry.valid_until_block}; nothing happened"
        case _:
            return f"{entry.status}"


def _sentence(page: OutboxPage, state: str) -> str:
    about, entry = page.about, page.entry
    return (
        f"Break glass: {about.get('by')} sent {entry.tx} at {entry.created_at:%Y-%m-%d %H:%M:%S} UTC to pause "
        f"{about.get('target')} ({about.get('reason') or 'no reason given'}): {state}"
    )

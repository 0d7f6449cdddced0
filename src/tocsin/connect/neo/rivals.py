"""A transaction and its cancellation: which outbox entries belong together, by their keys.

The cancellation of what stands under a key stands under the same key with a suffix, so that a crash between the two
leaves nothing to guess. At most one of the two ever takes effect, which `cancelling` sees to and the chain guards.
"""

from tocsin.connect.ports import Outbox, OutboxEntry, OutboxStatus
from tocsin.domain.errors import Refused

_SUFFIX = "#cancel"


def cancel_key(key: str) -> str:
    """The key under which the cancellation of `key` stands."""
    return key + _SUFFIX


def is_cancellation(key: str) -> bool:
    return key.endswith(_SUFFIX)


def refuse_reserved(key: str) -> None:
    """Keeps keys of cancellations from being used for anything else.

    Raises:
        Refused: it is one.
    """
    if is_cancellation(key):
        raise Refused("key-reserved", f"{key} is the key of a cancellation; keys that end in {_SUFFIX} are reserved")


async def cancellation_of(outbox: Outbox, key: str) -> OutboxEntry | None:
    """The cancellation that stands for this key and is offered in its place; None for one that was refused."""
    entry = await outbox.get(cancel_key(key))
    return None if entry is None or entry.status is OutboxStatus.REFUSED else entry


async def rival_of(outbox: Outbox, key: str) -> OutboxEntry | None:
    """The entry that excludes the one under `key`: its cancellation, or what it is to cancel. None if there is none.

    Also a cancellation that every endpoint refused: one of them may have kept it.
    """
    return await outbox.get(key.removesuffix(_SUFFIX) if is_cancellation(key) else cancel_key(key))

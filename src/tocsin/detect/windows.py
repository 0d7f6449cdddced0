"""Windows of time over movements: their sum, their number, and how many different ones, by key. Pure.

A window is as exact as its movements: integers are added, nothing is sampled, and what leaves the window is taken off
again. What the windows are for, and what a condition makes of them, stands in `rules`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

from tocsin.domain.hashes import ScriptHash, TxHash

MOVEMENTS_MAX = 100_000
"""Movements kept a window; beyond it the oldest go first, and its figures become lower bounds."""


class Key(StrEnum):
    """By what movements are told apart.

    `CONTRACT` left the GAS, `RECIPIENT` got it, `SENDER` signed the transaction; `RULE` puts all of a rule together.
    """

    CONTRACT = "contract"
    RECIPIENT = "recipient"
    SENDER = "sender"
    TRANSACTION = "transaction"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A window as a rule declares it.

    It counts what happened less than `over` ago with the same key `by` as the movement at hand: `by` recipient, say,
    what this recipient got. `distinct` says what is counted once however often it comes.
    """

    over: timedelta
    by: Key = Key.CONTRACT
    distinct: Key | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """GAS that left a contract in a transaction of block `height`; `at` is the block's time, `amount` in fractions."""

    height: int
    at: datetime
    amount: int
    contract: ScriptHash
    recipient: ScriptHash
    sender: ScriptHash
    tx: TxHash


@dataclass(frozen=True, slots=True)
class Tally:
    """The figures of a window for one key; `sum` in fractions of GAS."""

    sum: int
    count: int
    distinct: int


_KEYS: Mapping[Key, Callable[[Movement], str]] = {
    Key.CONTRACT: attrgetter("contract"),
    Key.RECIPIENT: attrgetter("recipient"),
    Key.SENDER: attrgetter("sender"),
    Key.TRANSACTION: attrgetter("tx"),
    Key.RULE: lambda _: "",
}


class _Figures:
    """What is known of one key: sum, number, and how often each different thing came."""

    __slots__ = ("count", "sum", "things")

    def __init__(self) -> None:
        self.sum = 0
        self.count = 0
        self.things: dict[str, int] = {}


class Window:
    """One window of one rule. Adding and forgetting a movement costs the same however long the window is."""

    def __init__(self, spec: WindowSpec) -> None:
        self._over = spec.over
        self._key = _KEYS[spec.by]
        self._thing = None if spec.distinct is None else _KEYS[spec.distinct]
        self._movements: deque[Movement] = deque()
        self._figures: dict[str, _Figures] = {}

    def __len__(self) -> int:
        return len(self._movements)

    def add(self, movement: Movement) -> Tally:
        """Takes a movement in, lets go of those that are as old as the window is long; returns its key's figures."""
        movements, key = self._movements, self._key(movement)
        figures = self._figures.get(key)
        if figures is None:
            figures = self._figures[key] = _Figures()
        movements.append(movement)
        figures.sum += movement.amount
        figures.count += 1
        if self._thing is not None:
            thing = self._thing(movement)
            figures.things[thing] = figures.things.get(thing, 0) + 1
        since = movement.at - self._over
        while movements[0].at <= since or len(movements) > MOVEMENTS_MAX:
            self._forget(movements.popleft())
        return Tally(figures.sum, figures.count, len(figures.things))

    def rewind(self, height: int) -> None:
        """Forgets the movements of this block and later ones, so that they can be seen again without counting twice."""
        while self._movements and self._movements[-1].height >= height:
            self._forget(self._movements.pop())

    def _forget(self, movement: Movement) -> None:
        key = self._key(movement)
        figures = self._figures[key]
        figures.sum -= movement.amount
        figures.count -= 1
        if self._thing is not None:
            thing = self._thing(movement)
            figures.things[thing] -= 1
            if not figures.things[thing]:
                del figures.things[thing]
        if not figures.count:
            # Keys come and go with the movements, so that strangers can't make them grow without bound.
            del self._figures[key]

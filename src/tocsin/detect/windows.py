"""Windows of time over movements: their sum, their number, and how many different ones, by key. Pure.

A window is as exact as its movements: integers are added, nothing is sampled, and what leaves the window is taken off
again. What the windows are for, and what a condition makes of them, stands in `rules`.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.domain.amounts import Gas
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
    """GAS that left a contract in a transaction of block `height`; `at` is the block's time."""

    height: int
    at: datetime
    amount: int
    contract: ScriptHash
    recipient: ScriptHash
    sender: ScriptHash
    tx: TxHash


@dataclass(frozen=True, slots=True)
class Tally:
    """The figures of a window for one key."""

    sum: Gas
    count: int
    distinct: int


_KEYS: Mapping[Key, Callable[[Movement], str]] = {
    Key.CONTRACT: lambda movement: movement.contract,
    Key.RECIPIENT: lambda movement: movement.recipient,
    Key.SENDER: lambda movement: movement.sender,
    Key.TRANSACTION: lambda movement: movement.tx,
    Key.RULE: lambda _: "",
}


class Window:
    """One window of one rule. Adding and forgetting a movement costs the same however long the window is."""

    def __init__(self, spec: WindowSpec) -> None:
        self._over = spec.over
        self._key = _KEYS[spec.by]
        self._thing = None if spec.distinct is None else _KEYS[spec.distinct]
        self._movements: deque[Movement] = deque()
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._things: dict[str, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._movements)

    def add(self, movement: Movement) -> Tally:
        """Takes a movement in, lets go of those that are as old as the window is long; returns its key's figures."""
        key = self._key(movement)
        self._movements.append(movement)
        self._sums[key] += movement.amount
        self._counts[key] += 1
        if self._thing is not None:
            self._things.setdefault(key, Counter())[self._thing(movement)] += 1
        since = movement.at - self._over
        while self._movements[0].at <= since or len(self._movements) > MOVEMENTS_MAX:
            self._forget(self._movements.popleft())
        return Tally(Gas(self._sums[key]), self._counts[key], len(self._things.get(key, ())))

    def rewind(self, height: int) -> None:
        """Forgets the movements of this block and later ones, so that they can be seen again without counting twice."""
        while self._movements and self._movements[-1].height >= height:
            self._forget(self._movements.pop())

    def _forget(self, movement: Movement) -> None:
        key = self._key(movement)
        self._sums[key] -= movement.amount
        self._counts[key] -= 1
        if self._thing is not None:
            things, thing = self._things[key], self._thing(movement)
            things[thing] -= 1
            if not things[thing]:
                del things[thing]
        if not self._counts[key]:
            # Keys come and go with the movements, so that strangers can't make them grow without bound.
            del self._sums[key], self._counts[key]
            self._things.pop(key, None)

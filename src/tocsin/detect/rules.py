"""Outflow rules, and judging movements by them: windows, variables, the condition, the detection. Pure.

Where movements come from and what contracts hold is given: by `outflow` as blocks come, by `backtest` for blocks of
long ago, by `cases` for blocks that somebody made up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache

from tocsin.detect.conditions import Condition, Value, VariableType
from tocsin.detect.transfers import Outflows
from tocsin.detect.windows import Key, Movement, Tally, Window, WindowSpec
from tocsin.domain.amounts import Gas
from tocsin.domain.detections import Detection
from tocsin.domain.hashes import ScriptHash, address_of

VARIABLES: Mapping[str, VariableType] = {
    "contract": VariableType.TEXT,
    "recipient": VariableType.TEXT,
    "recipient_known": VariableType.BOOLEAN,
    "amount": VariableType.AMOUNT,
    "sum": VariableType.AMOUNT,
    "count": VariableType.INTEGER,
    "balance_before": VariableType.AMOUNT,
    "share_percent": VariableType.INTEGER,
}
"""What a condition may use: the movement at hand (`amount`, to `recipient`), and over the window `sum`, `count`,
`balance_before` (what left together with what is still there) and `share_percent` (of it that has left, 0 to 100)."""

_address = lru_cache(4_096)(address_of)


def variables_with(windows: Mapping[str, WindowSpec]) -> Mapping[str, VariableType]:
    """What the condition of a rule may use that declares these windows: `NAME.distinct` only where it says of what."""
    declared: dict[str, VariableType] = {}
    for name, spec in windows.items():
        declared |= {f"{name}.sum": VariableType.AMOUNT, f"{name}.count": VariableType.INTEGER}
        if spec.distinct is not None:
            declared[f"{name}.distinct"] = VariableType.INTEGER
    return {**VARIABLES, **declared}


@dataclass(frozen=True, slots=True)
class OutflowRule:
    """When GAS leaving one of `contracts` is a symptom of `emergency`. `contracts` has their names for people.

    `window` is that of `sum` and `count`, a contract each; `windows` are further ones, by name.
    """

    name: str
    emergency: str
    symptom: str
    contracts: Mapping[ScriptHash, str]
    window: timedelta
    known_recipients: frozenset[ScriptHash]
    condition: Condition
    windows: Mapping[str, WindowSpec] = field(default_factory=dict[str, WindowSpec])

    @property
    def longest_window(self) -> timedelta:
        return max(self.window, *(spec.over for spec in self.windows.values()), timedelta())


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a rule made of one movement; `detection` is None where it did not fire."""

    rule: OutflowRule
    movement: Movement
    window: Tally
    windows: Mapping[str, Tally]
    balance: int
    """What the contract held after the movement, in fractions of GAS."""
    error: str | None = None
    """Why the condition could not be evaluated."""
    fired: bool = False

    def values(self, names: Iterable[str] | None = None) -> dict[str, Value]:
        """The condition's variables: these, or all that the rule has."""
        chosen = self.rule.condition.variables if names is None else names
        return {name: _VALUES[name](self) if name in _VALUES else self._of_window(name) for name in chosen}

    def detection(self) -> Detection:
        """The detection of a judgement that fired."""
        assert self.fired, "the rule did not fire"
        rule, movement, values = self.rule, self.movement, self.values()
        name, seconds = rule.contracts[movement.contract], rule.window.total_seconds()
        summary = (
            f"{values['sum']} GAS left {name} within {seconds:g} s ({values['share_percent']} % of what it held), "
            f"now {values['amount']} GAS to {values['recipient']}"
        )
        if self.error is not None:
            summary = f"{summary}; the rule's condition could not be evaluated ({self.error})"
        return Detection(
            id=f"{rule.name}:{movement.contract}:{movement.tx}",
            rule=rule.name,
            emergency=rule.emergency,
            symptom=rule.symptom,
            key=f"{rule.emergency}:{movement.contract}",
            summary=summary,
            observed_at=movement.at,
            height=movement.height,
            evidence={
                **values,
                "tx": movement.tx,
                "contract_hash": movement.contract,
                "condition": rule.condition.source,
            },
        )

    def _of_window(self, name: str) -> Value:
        window, _, figure = name.rpartition(".")
        tally = self.windows[window]
        match figure:
            case "sum":
                return str(Gas(tally.sum))
            case "count":
                return tally.count
            case _:
                return tally.distinct

    @property
    def balance_before(self) -> int:
        """What the contract held before all that left it within the window, in fractions of GAS."""
        return self.balance + self.window.sum

    @property
    def share_percent(self) -> int:
        """How much of that has left, 0 to 100."""
        before = self.balance_before
        return min(100, 100 * self.window.sum // before) if before > 0 else 100


_VALUES: Mapping[str, Callable[[Judgement], Value]] = {
    "contract": lambda j: j.rule.contracts[j.movement.contract],
    "recipient": lambda j: _address(j.movement.recipient),
    "recipient_known": lambda j: j.movement.recipient in j.rule.known_recipients,
    "amount": lambda j: str(Gas(j.movement.amount)),
    "sum": lambda j: str(Gas(j.window.sum)),
    "count": lambda j: j.window.count,
    "balance_before": lambda j: str(Gas(j.balance_before)),
    "share_percent": lambda j: j.share_percent,
}
assert _VALUES.keys() == VARIABLES.keys()


class _Watcher:
    """One rule with its windows."""

    def __init__(self, rule: OutflowRule) -> None:
        self.rule = rule
        self._window = Window(WindowSpec(rule.window, Key.CONTRACT))
        self._windows = {name: Window(spec) for name, spec in rule.windows.items()}

    def take_in(self, movement: Movement) -> tuple[Tally, Mapping[str, Tally]]:
        return self._window.add(movement), {name: window.add(movement) for name, window in self._windows.items()}

    def rewind(self, height: int) -> None:
        self._window.rewind(height)
        for window in self._windows.values():
            window.rewind(height)


class RuleBench:
    """All rules with their windows: takes in what left the watched contracts, block by block, and judges it."""

    def __init__(self, rules: Sequence[OutflowRule]) -> None:
        self.rules = tuple(rules)
        self.watched = frozenset(contract for rule in rules for contract in rule.contracts)
        self.outflows = Outflows(self.watched)
        """Finds the movements that these rules are about."""
        self._watchers = tuple(_Watcher(rule) for rule in rules)
        self._watchers_of = {
            contract: tuple(w for w in self._watchers if contract in w.rule.contracts) for contract in self.watched
        }

    @property
    def longest_window(self) -> timedelta:
        return max((rule.longest_window for rule in self.rules), default=timedelta())

    def fill(self, movements: Sequence[Movement]) -> None:
        """Takes movements out of watched contracts into the windows and judges nothing."""
        for movement in movements:
            for watcher in self._watchers_of[movement.contract]:
                watcher.take_in(movement)

    def judge(self, movements: Sequence[Movement], before: Mapping[ScriptHash, Gas]) -> Sequence[Judgement]:
        """Takes movements out of watched contracts into the windows and judges each.

        `before` is what the contracts held before the first of them; so they are those of one block.

        A movement is judged by what was known when it happened, so those of the same block before it count.
        """
        balances = {contract: held.fractions for contract, held in before.items()}
        judgements: list[Judgement] = []
        for movement in movements:
            balance = balances[movement.contract] = balances[movement.contract] - movement.amount
            for watcher in self._watchers_of[movement.contract]:
                window, windows = watcher.take_in(movement)
                judgements.append(_judged(watcher.rule, movement, window, windows, balance))
        return judgements

    def rewind(self, height: int) -> None:
        """Forgets this block and later ones."""
        for watcher in self._watchers:
            watcher.rewind(height)


def _judged(
    rule: OutflowRule, movement: Movement, window: Tally, windows: Mapping[str, Tally], balance: int
) -> Judgement:
    judgement = Judgement(rule, movement, window, windows, balance)
    try:
        fired = rule.condition.holds_given(judgement.values(rule.condition.mentions))
    except ValueError as failure:
        # What can't be judged goes to people rather than past them.
        return replace(judgement, fired=True, error=str(failure))
    return replace(judgement, fired=True) if fired else judgement


def before(movements: Sequence[Movement], after: Mapping[ScriptHash, Gas]) -> Mapping[ScriptHash, Gas]:
    """What contracts held before the movements of one block, made of what they hold after it."""
    held = {contract: amount.fractions for contract, amount in after.items()}
    for movement in movements:
        held[movement.contract] += movement.amount
    return {contract: Gas(fractions) for contract, fractions in held.items()}


def detections_in(judgements: Sequence[Judgement]) -> Sequence[Detection]:
    """The detections, one a transaction: of several movements in it, the last tells the most."""
    found: dict[tuple[str, str, str], Judgement] = {}
    for each in judgements:
        if each.fired:
            found[each.rule.name, each.movement.contract, each.movement.tx] = each
    return [each.detection() for each in found.values()]

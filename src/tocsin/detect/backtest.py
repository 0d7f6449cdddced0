"""Runs rules over blocks of the past: what would have fired, how much left, and what people already knew of.

Nothing is sent and nobody is told. Detections of one emergency and contract make one *firing*, as they would have
joined one incident, until the contract has been quiet for as long as the rule's longest window.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tocsin.connect.ports import Block, BlockHistory, ChainReader, StateHistory
from tocsin.detect.balances import BalanceSource, PastBalances, open_balances
from tocsin.detect.past import first_since
from tocsin.detect.rules import Judgement, OutflowRule, RuleBench, before, detections_in
from tocsin.detect.windows import Movement
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash

GROUP_BLOCKS_MAX = 200
GROUP_TRANSACTIONS_MAX = 500
"""So many blocks, or blocks with so many transactions, are judged together: balances are read once for all of them."""
WARM_UP_BLOCKS_MAX = 30_000
CURVE_POINTS_MAX = 400


@dataclass(frozen=True, slots=True)
class KnownIncident:
    """An incident that people know of: blocks `first` to `last`; `emergency` and `contract` None if it is any."""

    name: str
    first: int
    last: int
    emergency: str | None = None
    contract: ScriptHash | None = None

    def covers(self, firing: "Firing") -> bool:
        """Whether the firing tells of this incident."""
        return (
            self.first <= firing.last
            and firing.first <= self.last
            and self.emergency in {None, firing.emergency}
            and self.contract in {None, firing.contract}
        )


@dataclass(frozen=True, slots=True)
class Firing:
    """Detections that would have joined one incident."""

    key: str
    emergency: str
    rules: tuple[str, ...]
    contract: ScriptHash
    contract_name: str
    first: int
    last: int
    first_at: datetime
    last_at: datetime
    detections: int
    amount: Gas
    """What the movements that fired took."""
    sum_max: Gas
    """The most that had left within the rule's window."""
    summary: str
    """What the first detection would have told people."""
    known: str | None = None
    """The known incident that it tells of, or None: a false positive, if the list of known ones is complete."""

    def joined_by(self, fired: Sequence[Judgement]) -> "Firing":
        """With what fired in one more block."""
        # Two rules judge the same movement: what it took counts once.
        amounts = {id(judgement.movement): judgement.movement.amount for judgement in fired}
        newest = fired[-1].movement
        return replace(
            self,
            rules=tuple(dict.fromkeys([*self.rules, *(judgement.rule.name for judgement in fired)])),
            last=newest.height,
            last_at=newest.at,
            detections=self.detections + len({(j.rule.name, j.movement.tx) for j in fired}),
            amount=self.amount + Gas(sum(amounts.values())),
            sum_max=max(self.sum_max, *(Gas(judgement.window.sum) for judgement in fired)),
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """What left one contract: each point stands for `blocks_a_point` blocks, the first one from block `first` on."""

    contract: ScriptHash
    contract_name: str
    first: int
    blocks_a_point: int
    outflow: tuple[Gas, ...]
    sum_max: tuple[Gas, ...]
    """The most that had left within the window of a rule, at each point; zero where nothing moved."""


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """What a backtest found. `blocks`, `transactions` and `movements` (GAS out of watched contracts) were looked at."""

    first: int
    last: int
    first_at: datetime
    last_at: datetime
    transactions: int
    movements: int
    detections: int
    balances: BalanceSource
    firings: tuple[Firing, ...]
    curves: tuple[Curve, ...]
    known: tuple[KnownIncident, ...] | None
    """The incidents that people know of, None where nobody said."""
    warm_up_complete: bool
    """Whether the blocks before `first` reached back as far as the longest window."""

    @property
    def blocks(self) -> int:
        return self.last - self.first + 1

    @property
    def false_positives(self) -> tuple[Firing, ...]:
        """Firings that tell of no known incident; none where nobody said which are known."""
        return () if self.known is None else tuple(firing for firing in self.firings if firing.known is None)

    @property
    def missed(self) -> tuple[KnownIncident, ...]:
        """Known incidents that no firing tells of."""
        return tuple(known for known in self.known or () if not any(known.covers(firing) for firing in self.firings))


@dataclass(slots=True)
class _Tape:
    """What a contract's movements look like from afar."""

    outflow: Counter[int] = field(default_factory=Counter[int])
    sum_max: dict[int, int] = field(default_factory=dict[int, int])


class Backtest:
    """One run of rules over blocks of the past. Run it once."""

    def __init__(
        self,
        rules: Sequence[OutflowRule],
        history: BlockHistory,
        states: StateHistory,
        reader: ChainReader,
        *,
        on_block: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`on_block` is told the heights that have been judged, now and then."""
        assert rules, "there is a rule to run"
        self._bench = RuleBench(rules)
        self._history, self._states, self._reader = history, states, reader
        self._on_block = on_block
        self._open: dict[str, tuple[Firing, timedelta]] = {}
        self._closed: list[Firing] = []
        self._tapes: dict[ScriptHash, _Tape] = {contract: _Tape() for contract in self._bench.watched}
        self._blocks_a_point = 1
        self._first = 0
        self._transactions = self._movements = 0

    async def run(self, first: int, last: int, known: Sequence[KnownIncident] | None = None) -> BacktestReport:
        """Judges the blocks from `first` to `last`.

        Raises:
            Unavailable: a block or a balance can't be read now.
        """
        assert 0 <= first <= last, "there is a block to judge"
        self._first = first
        self._blocks_a_point = -(-(last - first + 1) // CURVE_POINTS_MAX)
        complete = await self._warm_up(first)
        balances = await open_balances(self._bench.watched, first, self._history, self._states, self._reader)
        begun: Block | None = None
        ended: Block | None = None
        async with aclosing(self._groups(first, last)) as groups:
            async for group in groups:
                await self._judge(group, balances)
                begun, ended = begun or group[0], group[-1]
                self._on_block(ended.height)
        if begun is None or ended is None:
            raise Unavailable("blocks-missing", f"no endpoint gave blocks {first} to {last}")
        firings = [*self._closed, *(firing for firing, _ in self._open.values())]
        firings.sort(key=lambda firing: (firing.first, firing.key))
        return BacktestReport(
            first=first,
            last=last,
            first_at=begun.time,
            last_at=ended.time,
            transactions=self._transactions,
            movements=self._movements,
            detections=sum(firing.detections for firing in firings),
            balances=balances.source,
            firings=tuple(replace(f, known=next((k.name for k in known or () if k.covers(f)), None)) for f in firings),
            curves=tuple(self._curve(contract, last) for contract in sorted(self._tapes, key=self._name)),
            known=None if known is None else tuple(known),
            warm_up_complete=complete,
        )

    async def _warm_up(self, first: int) -> bool:
        """Fills the windows with what left before the first block; returns whether they are complete."""
        if first == 0 or not self._bench.longest_window:
            return True
        earliest = max(0, first - WARM_UP_BLOCKS_MAX)
        since = (await self._block(first)).time - self._bench.longest_window
        start = await first_since(since, earliest, first - 1, self._block)
        edge = await self._block(start)
        async with aclosing(self._history.blocks(start, first - 1)) as blocks:
            async for block in blocks:
                self._bench.fill(self._bench.outflows.of(block))
        return start == 0 or edge.time <= since

    async def _block(self, height: int) -> Block:
        async with aclosing(self._history.blocks(height, height)) as blocks:
            async for block in blocks:
                return block
        raise Unavailable("block-missing", f"no endpoint gave block {height}")

    async def _groups(self, first: int, last: int) -> AsyncGenerator[list[Block]]:
        group: list[Block] = []
        transactions = 0
        async with aclosing(self._history.blocks(first, last)) as blocks:
            async for block in blocks:
                group.append(block)
                transactions += len(block.transactions)
                if len(group) == GROUP_BLOCKS_MAX or transactions >= GROUP_TRANSACTIONS_MAX:
                    yield group
                    group, transactions = [], 0
        if group:
            yield group

    async def _judge(self, group: Sequence[Block], balances: PastBalances) -> None:
        moved = [(block, self._bench.outflows.of(block)) for block in group]
        wanted = {(movement.height, movement.contract) for _, movements in moved for movement in movements}
        held = await balances.after(group, wanted)
        for block, movements in moved:
            self._transactions += len(block.transactions)
            if not movements:
                continue
            after = {contract: held[block.height, contract] for contract in {m.contract for m in movements}}
            judgements = self._bench.judge(movements, before(movements, after))
            self._movements += len(movements)
            self._tape(movements, judgements)
            self._record([judgement for judgement in judgements if judgement.fired])

    def _tape(self, movements: Sequence[Movement], judgements: Sequence[Judgement]) -> None:
        """Takes the movements of one block into the curves."""
        point = (movements[0].height - self._first) // self._blocks_a_point
        for movement in movements:
            self._tapes[movement.contract].outflow[point] += movement.amount
        for judgement in judgements:
            highest = self._tapes[judgement.movement.contract].sum_max
            highest[point] = max(highest.get(point, 0), judgement.window.sum)

    def _record(self, fired: Sequence[Judgement]) -> None:
        """Takes in what fired in one block."""
        by_key: dict[str, list[Judgement]] = {}
        for judgement in fired:
            by_key.setdefault(_key(judgement), []).append(judgement)
        for key, judgements in by_key.items():
            quiet = max(judgement.rule.longest_window for judgement in judgements)
            firing, patience = self._open.get(key, (None, quiet))
            if firing is not None and judgements[0].movement.at - firing.last_at > patience:
                self._closed.append(firing)
                firing = None
            self._open[key] = ((firing or _firing(judgements[0])).joined_by(judgements), max(patience, quiet))

    def _curve(self, contract: ScriptHash, last: int) -> Curve:
        tape = self._tapes[contract]
        points = range((last - self._first) // self._blocks_a_point + 1)
        return Curve(
            contract=contract,
            contract_name=self._name(contract),
            first=self._first,
            blocks_a_point=self._blocks_a_point,
            outflow=tuple(Gas(tape.outflow[point]) for point in points),
            sum_max=tuple(Gas(tape.sum_max.get(point, 0)) for point in points),
        )

    def _name(self, contract: ScriptHash) -> str:
        return next(rule.contracts[contract] for rule in self._bench.rules if contract in rule.contracts)


def _key(judgement: Judgement) -> str:
    return f"{judgement.rule.emergency}:{judgement.movement.contract}"


def _firing(judgement: Judgement) -> Firing:
    """The firing that this judgement begins; it has yet to join it."""
    movement = judgement.movement
    (detection,) = detections_in([judgement])
    return Firing(
        key=detection.key,
        emergency=detection.emergency,
        rules=(),
        contract=movement.contract,
        contract_name=judgement.rule.contracts[movement.contract],
        first=movement.height,
        last=movement.height,
        first_at=movement.at,
        last_at=movement.at,
        detections=0,
        amount=Gas(0),
        sum_max=Gas(0),
        summary=detection.summary,
    )

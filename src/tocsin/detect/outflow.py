"""The rule for "unusual fund movements": GAS that leaves a guarded contract, summed over a window of time.

Time is the blocks' own, so sums do not depend on when a block is seen; a balance can only be read as it stands now, so
while catching up `share_percent` is judged by the present one. A detection's id is made of the rule, the contract and
the transaction that tipped it, so that seeing a block twice detects nothing twice.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.connect.ports import Argument, Block, ChainReader, Invocation, ParameterType
from tocsin.detect.conditions import Condition, Value, VariableType
from tocsin.domain.amounts import Gas
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Unavailable
from tocsin.domain.hashes import ScriptHash, TxHash, address_of

GAS_CONTRACT = ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf")
MOVEMENTS_MAX = 100_000
"""Movements kept a rule and contract; beyond it the oldest go first, and sums become lower bounds."""

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


@dataclass(frozen=True, slots=True)
class OutflowRule:
    """When GAS leaving one of `contracts` is a symptom of `emergency`. `names` are the contracts' names for people."""

    name: str
    emergency: str
    symptom: str
    contracts: Mapping[ScriptHash, str]
    window: timedelta
    known_recipients: frozenset[ScriptHash]
    condition: Condition


@dataclass(frozen=True, slots=True)
class GasTransfer:
    """GAS that moved from one account to another."""

    source: ScriptHash
    recipient: ScriptHash
    amount: Gas
    tx: TxHash


@dataclass(frozen=True, slots=True)
class _Movement:
    height: int
    at: datetime
    amount: Gas


class _Window:
    """What left one contract during the length of one rule, with its running sum."""

    def __init__(self, length: timedelta) -> None:
        self._length = length
        self._movements: deque[_Movement] = deque()
        self.total = Gas(0)

    def __len__(self) -> int:
        return len(self._movements)

    def add(self, movement: _Movement) -> None:
        """Takes a movement in, and lets go of those that are as old as the window is long."""
        self._movements.append(movement)
        self.total += movement.amount
        while self._movements[0].at <= movement.at - self._length or len(self._movements) > MOVEMENTS_MAX:
            self.total -= self._movements.popleft().amount

    def rewind(self, height: int) -> None:
        """Forgets the movements of this block and later ones, so that they can be seen again without counting twice."""
        while self._movements and self._movements[-1].height >= height:
            self.total -= self._movements.pop().amount


class OutflowWatch:
    """Evaluates outflow rules over blocks as they come."""

    def __init__(self, rules: Sequence[OutflowRule], reader: ChainReader) -> None:
        self._rules, self._reader = tuple(rules), reader
        self._windows = {
            (rule.name, contract): _Window(rule.window) for rule in self._rules for contract in rule.contracts
        }

    @property
    def longest_window(self) -> timedelta:
        return max((rule.window for rule in self._rules), default=timedelta())

    async def see(self, block: Block, *, quiet: bool = False) -> Sequence[Detection]:
        """Takes a block into the windows and returns what the rules detect in it.

        With `quiet` the windows are filled and nothing is evaluated: for blocks that were handled before a restart.

        Raises:
            Unavailable: a balance can't be read now; the block was not taken in and may be offered again.
        """
        watched = {contract for rule in self._rules for contract in rule.contracts}
        transfers = [t for t in gas_transfers(block) if t.source in watched]
        balances = {} if quiet else await self._balances_before(transfers)
        for window in self._windows.values():
            window.rewind(block.height)
        detections: dict[str, Detection] = {}
        for transfer in transfers:
            if not quiet:
                balances[transfer.source] -= transfer.amount
            for rule in self._rules:
                if transfer.source not in rule.contracts:
                    continue
                window = self._windows[rule.name, transfer.source]
                window.add(_Movement(block.height, block.time, transfer.amount))
                found = None if quiet else _judge(rule, transfer, window, balances[transfer.source], block)
                if found is not None:
                    detections[found.id] = found  # of several movements in one transaction, the last tells the most
        return list(detections.values())

    async def _balances_before(self, transfers: Sequence[GasTransfer]) -> dict[ScriptHash, Gas]:
        """What each contract held before these transfers of one block, made of what it holds after them."""
        balances = {contract: await self._balance(contract) for contract in {t.source for t in transfers}}
        for transfer in transfers:
            balances[transfer.source] += transfer.amount
        return balances

    async def _balance(self, contract: ScriptHash) -> Gas:
        call = Invocation(GAS_CONTRACT, "balanceOf", (Argument(ParameterType.HASH160, contract),))
        execution = await self._reader.test_invoke([call])
        if not execution.halted or not execution.stack or not isinstance(execution.stack[0], int):
            raise Unavailable("balance-unreadable", f"the GAS balance of {contract} can't be read")
        return Gas(execution.stack[0])


def gas_transfers(block: Block) -> Iterator[GasTransfer]:
    """The GAS transfers that the block's transactions made, in order.

    Left out are mints, burns, transfers to oneself, and whatever a transaction announced that FAULTed in the end.
    """
    for transaction in block.transactions:
        if not transaction.halted:
            continue
        for event in transaction.notifications:
            if event.contract != GAS_CONTRACT or event.name != "Transfer" or len(event.values) != 3:
                continue
            source, recipient, amount = event.values
            if not (isinstance(source, bytes) and isinstance(recipient, bytes) and isinstance(amount, int)):
                continue
            if source != recipient:
                yield GasTransfer(_little_endian(source), _little_endian(recipient), Gas(amount), transaction.tx)


def _little_endian(raw: bytes) -> ScriptHash:
    return ScriptHash(f"0x{raw[::-1].hex()}")


def _judge(rule: OutflowRule, transfer: GasTransfer, window: _Window, balance: Gas, block: Block) -> Detection | None:
    total = window.total
    before = balance + total
    name, seconds = rule.contracts[transfer.source], rule.window.total_seconds()
    values: dict[str, Value] = {
        "contract": name,
        "recipient": address_of(transfer.recipient),
        "recipient_known": transfer.recipient in rule.known_recipients,
        "amount": str(transfer.amount),
        "sum": str(total),
        "count": len(window),
        "balance_before": str(before),
        "share_percent": min(100, 100 * total.fractions // before.fractions) if before.fractions > 0 else 100,
    }
    summary = (
        f"{total} GAS left {name} within {seconds:g} s ({values['share_percent']} % of what it held), "
        f"now {transfer.amount} GAS to {values['recipient']}"
    )
    try:
        if not rule.condition.holds(values):
            return None
    except ValueError as error:
        # What can't be judged goes to people rather than past them.
        summary = f"{summary}; the rule's condition could not be evaluated ({error})"
    return Detection(
        id=f"{rule.name}:{transfer.source}:{transfer.tx}",
        rule=rule.name,
        emergency=rule.emergency,
        symptom=rule.symptom,
        key=f"{rule.emergency}:{transfer.source}",
        summary=summary,
        observed_at=block.time,
        height=block.height,
        evidence={**values, "tx": transfer.tx, "contract_hash": transfer.source, "condition": rule.condition.source},
    )

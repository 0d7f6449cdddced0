"""The rule for "unusual fund movements": GAS that leaves a guarded contract, summed over a window of time.

Time is the blocks' own, so that replaying blocks gives the same detections. A detection's id is made of the rule, the
contract and the transaction that tipped it, so that seeing a block twice detects nothing twice.
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
"""Movements kept a contract; beyond it the oldest go first, and sums become lower bounds."""

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
`balance_before` (what the contract held when the window began) and `share_percent` (of it that has left, 0 to 100)."""


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
    """GAS that moved; `recipient` is None where it was burnt."""

    source: ScriptHash
    recipient: ScriptHash | None
    amount: Gas
    tx: TxHash


@dataclass(frozen=True, slots=True)
class _Movement:
    at: datetime
    amount: int


class OutflowWatch:
    """Evaluates outflow rules over blocks as they come."""

    def __init__(self, rules: Sequence[OutflowRule], reader: ChainReader) -> None:
        self._rules, self._reader = tuple(rules), reader
        self._movements: dict[tuple[str, ScriptHash], deque[_Movement]] = {}

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
        balances = {} if quiet else {c: await self._balance(c) for c in {t.source for t in transfers}}
        detections: list[Detection] = []
        for transfer in transfers:
            for rule in self._rules:
                if transfer.source not in rule.contracts:
                    continue
                window = self._remember(rule, transfer.source, _Movement(block.time, transfer.amount.fractions))
                if quiet:
                    continue
                found = _judge(rule, transfer, window, balances[transfer.source], block)
                if found is not None:
                    detections.append(found)
        return detections

    def _remember(self, rule: OutflowRule, contract: ScriptHash, movement: _Movement) -> Sequence[_Movement]:
        window = self._movements.setdefault((rule.name, contract), deque(maxlen=MOVEMENTS_MAX))
        window.append(movement)
        while window[0].at <= movement.at - rule.window:
            window.popleft()
        return window

    async def _balance(self, contract: ScriptHash) -> Gas:
        call = Invocation(GAS_CONTRACT, "balanceOf", (Argument(ParameterType.HASH160, contract),))
        execution = await self._reader.test_invoke([call])
        if not execution.halted or not execution.stack or not isinstance(execution.stack[0], int):
            raise Unavailable("balance-unreadable", f"the GAS balance of {contract} can't be read")
        return Gas(execution.stack[0])


def gas_transfers(block: Block) -> Iterator[GasTransfer]:
    """The GAS transfers that the block's transactions made, in order; mints and transfers to oneself left out."""
    for transaction in block.transactions:
        for event in transaction.notifications:
            if event.contract != GAS_CONTRACT or event.name != "Transfer" or len(event.values) != 3:
                continue
            source, recipient, amount = event.values
            if not isinstance(source, bytes) or not isinstance(amount, int) or source == recipient:
                continue
            target = _little_endian(recipient) if isinstance(recipient, bytes) else None
            yield GasTransfer(_little_endian(source), target, Gas(amount), transaction.tx)


def _little_endian(raw: bytes) -> ScriptHash:
    return ScriptHash(f"0x{raw[::-1].hex()}")


def _judge(
    rule: OutflowRule, transfer: GasTransfer, window: Sequence[_Movement], balance: Gas, block: Block
) -> Detection | None:
    total = Gas(sum(m.amount for m in window))
    before = balance + total
    name, seconds = rule.contracts[transfer.source], rule.window.total_seconds()
    values: dict[str, Value] = {
        "contract": name,
        "recipient": address_of(transfer.recipient) if transfer.recipient else "",
        "recipient_known": transfer.recipient in rule.known_recipients,
        "amount": str(transfer.amount),
        "sum": str(total),
        "count": len(window),
        "balance_before": str(before),
        "share_percent": min(100, 100 * total.fractions // before.fractions) if before.fractions > 0 else 100,
    }
    summary = (
        f"{total} GAS left {name} within {seconds:g} s ({values['share_percent']} % of what it held), "
        f"now {transfer.amount} GAS to {values['recipient'] or 'nobody (burnt)'}"
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

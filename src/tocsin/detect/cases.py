"""Cases: made-up blocks with what the rules must, and must not, make of them. Pure.

A case is judged by the very code that judges real blocks; only the blocks and the balances are made up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tocsin.detect.rules import Judgement, OutflowRule, RuleBench
from tocsin.detect.windows import Movement
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import ScriptHash, TxHash

_BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CaseTransfer:
    """GAS that a made-up transaction moves. Transfers of a block with the same `transaction` belong together."""

    source: ScriptHash
    recipient: ScriptHash
    amount: Gas
    sender: ScriptHash
    transaction: str


@dataclass(frozen=True, slots=True)
class CaseBlock:
    """A made-up block, `after` the case has begun."""

    after: timedelta
    transfers: tuple[CaseTransfer, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """That a rule fires in a block, counted from one, over a contract (None: over any)."""

    rule: str
    block: int
    contract: ScriptHash | None = None

    def is_met_by(self, judgement: Judgement) -> bool:
        movement = judgement.movement
        return (
            judgement.fired
            and (judgement.rule.name, movement.height) == (self.rule, self.block)
            and self.contract in {None, movement.contract}
        )


@dataclass(frozen=True, slots=True)
class Case:
    """Blocks, what contracts hold before them, and everything that fires in them."""

    name: str
    balances: Mapping[ScriptHash, Gas]
    blocks: tuple[CaseBlock, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case came out: each problem is a sentence, and there is none when it holds."""

    case: Case
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problems


def run_case(rules: Sequence[OutflowRule], case: Case) -> CaseResult:
    """Judges the case's blocks by the rules."""
    bench = RuleBench(rules)
    held = dict(case.balances)
    judgements: list[Judgement] = []
    for number, made_up in enumerate(case.blocks, start=1):
        at = _BEGINNING + made_up.after
        received: dict[ScriptHash, Gas] = {}
        paid: dict[ScriptHash, Gas] = {}
        for transfer in made_up.transfers:
            paid[transfer.source] = paid.get(transfer.source, Gas(0)) + transfer.amount
            received[transfer.recipient] = received.get(transfer.recipient, Gas(0)) + transfer.amount
        before = {account: held.get(account, Gas(0)) + received.get(account, Gas(0)) for account in {*paid, *received}}
        for contract in bench.watched & paid.keys():
            if before[contract] < paid[contract]:
                name = next(rule.contracts[contract] for rule in rules if contract in rule.contracts)
                problem = (
                    f"in block {number}, {name} pays {paid[contract]} GAS and holds only {before[contract]}: "
                    "say under `balances` what it holds when the case begins"
                )
                return CaseResult(case, (problem,))
        held |= {account: amount - paid.get(account, Gas(0)) for account, amount in before.items()}
        movements = [
            Movement(number, at, t.amount.fractions, t.source, t.recipient, t.sender, _tx(number, t))
            for t in made_up.transfers
            if t.source in bench.watched and t.source != t.recipient
        ]
        judgements += bench.judge(movements, before)
    return CaseResult(case, (*_missing(rules, case, judgements), *_unexpected(case, judgements)))


def _missing(rules: Sequence[OutflowRule], case: Case, judgements: Sequence[Judgement]) -> Sequence[str]:
    return [
        f"{expected.rule} did not fire in block {expected.block}{_over(rules, expected)}: "
        f"{_why_not(expected, judgements)}"
        for expected in case.expected
        if not any(expected.is_met_by(judgement) for judgement in judgements)
    ]


def _over(rules: Sequence[OutflowRule], expected: Expected) -> str:
    if expected.contract is None:
        return ""
    names = {contract: name for rule in rules for contract, name in rule.contracts.items()}
    return f" over {names.get(expected.contract, expected.contract)}"


def _why_not(expected: Expected, judgements: Sequence[Judgement]) -> str:
    """What the condition had before it where it did not hold, movement by movement."""
    looked_at = [
        judgement
        for judgement in judgements
        if (judgement.rule.name, judgement.movement.height) == (expected.rule, expected.block)
        and expected.contract in {None, judgement.movement.contract}
    ]
    if not looked_at:
        return "nothing left a contract that it watches"
    condition = looked_at[0].rule.condition
    seen = "; ".join(
        ", ".join(f"{name} = {_shown(value)}" for name, value in j.values(sorted(condition.mentions)).items())
        for j in looked_at
    )
    return f"its condition {condition.source} was false with {seen}"


def _unexpected(case: Case, judgements: Sequence[Judgement]) -> Sequence[str]:
    surprises: dict[tuple[str, int, str], str] = {}
    for judgement in judgements:
        if judgement.fired and not any(expected.is_met_by(judgement) for expected in case.expected):
            rule, movement = judgement.rule, judgement.movement
            surprises[rule.name, movement.height, movement.contract] = (
                f"{rule.name} fired in block {movement.height} and was not expected to: {judgement.detection().summary}"
            )
    return list(surprises.values())


def _shown(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tx(number: int, transfer: CaseTransfer) -> TxHash:
    digest = hashlib.sha256(f"block {number} transaction {transfer.transaction}".encode()).hexdigest()
    return TxHash(f"0x{digest}")


def made_up_account(name: str) -> ScriptHash:
    """An account that nobody has, the same for the same name."""
    return ScriptHash(f"0x{hashlib.sha256(name.encode()).hexdigest()[:40]}")

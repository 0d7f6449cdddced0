"""Schemas of what people write about rules: the rules themselves, cases that try them, and incidents that are known.

Rules stand in `tocsin.toml`, or in a file of their own; cases and known incidents always do. Names are looked up and
values are made in `rulebook`.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tocsin.domain.amounts import Gas
from tocsin.sections import Account, Section

_PERIOD = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
PERIOD_S_MAX = 86_400


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _PERIOD.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no period: write a number of seconds, or 90s, 15m, 1h, 1d")
    return float(match[1]) * _SECONDS[match[2]]


def _checked_gas(text: str) -> str:
    if Gas.parse(text) < Gas(0):
        raise ValueError("an amount can't be negative")
    return text


type Period = Annotated[float, BeforeValidator(_seconds), Field(ge=1, le=PERIOD_S_MAX)]
"""A number of seconds, or a text such as "90s", "15m", "1h"; a day at most."""
type Moment = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
type GasText = Annotated[str, AfterValidator(_checked_gas)]
type WindowName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
type KeyName = Literal["contract", "recipient", "sender", "transaction", "rule"]


class WindowSettings(Section):
    """A window by name: the condition may use `NAME.sum`, `NAME.count` and, where it says of what, `NAME.distinct`.

    It holds what left in the last `over`, as far as it has the same `by` as the movement at hand: by "contract" what
    left this contract, by "recipient" what this recipient got (from any contract of the rule), by "sender" what who
    signed this transaction moved, by "transaction" what this one moved, by "rule" all of the rule's contracts together.
    """

    over: Period
    by: KeyName = "contract"
    distinct: Literal["contract", "recipient", "sender", "transaction"] | None = None
    """Of what the different ones are counted."""

    @model_validator(mode="after")
    def _tells_something(self) -> Self:
        if self.by == self.distinct:
            raise ValueError(f"by each {self.by} there is always one {self.distinct}: count something else")
        return self


class RuleSettings(Section):
    """A rule for a symptom: `condition` is a CEL expression over the signal's variables and the rule's windows.

    `window`, seconds or "1h", is that of `sum`, `count`, `balance_before` and `share_percent`; `windows` are more.
    """

    name: str
    """What detections and messages call it."""
    emergency: str
    """The slug of the emergency that is declared when it fires."""
    symptom: str
    """The symptom, in the runbook's words."""
    signal: Literal["outflow"] = "outflow"
    """What is watched: GAS that leaves a contract."""
    contracts: tuple[str, ...] = Field(min_length=1)
    """The contracts that are watched: names under [contracts], or hashes."""
    window: Period = 60
    windows: dict[WindowName, WindowSettings] = Field(default_factory=dict[str, WindowSettings], max_length=16)
    known_recipients: tuple[Account, ...] = ()
    """Accounts for which `recipient_known` is true."""
    condition: str


class RulesFile(Section):
    """A file of rules that are tried in place of the configured ones."""

    rules: tuple[RuleSettings, ...] = Field(min_length=1, max_length=256)


class TransferSettings(Section):
    """GAS that moves: names of contracts and of the file's accounts, addresses or script hashes.

    Transfers of one block with the same `transaction` belong together. `sender` signed it (by default the recipient).
    """

    from_: str = Field(alias="from")
    to: str
    amount: GasText
    transaction: str | None = None
    sender: str | None = None


class CaseBlockSettings(Section):
    """A made-up block, `at` so long after the case has begun."""

    at: Moment
    transfers: tuple[TransferSettings, ...] = ()


class ExpectedSettings(Section):
    """That a rule fires in a block, or in each of several, counted from one; `contract`: over which."""

    rule: str
    block: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...]
    contract: str | None = None


class CaseSettings(Section):
    """Blocks, what contracts hold before them, and all that the rules are expected to make of them."""

    name: str = Field(min_length=1)
    balances: dict[str, GasText] = Field(default_factory=dict[str, GasText])
    blocks: tuple[CaseBlockSettings, ...] = Field(min_length=1, max_length=10_000)
    expect: tuple[ExpectedSettings, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [block.at for block in self.blocks]
        if sorted(set(times)) != times:
            raise ValueError("each block must come after the one before it: mind `at`")
        return self


class CasesFile(Section):
    """A file of cases. `accounts` are names for accounts that nobody has."""

    accounts: tuple[str, ...] = ()
    cases: tuple[CaseSettings, ...] = Field(min_length=1, max_length=10_000)


class KnownSettings(Section):
    """An incident that is known: blocks `from` to `to`; without `emergency` or `contract` it is any."""

    name: str | None = None
    from_: int = Field(alias="from", ge=0)
    to: int = Field(ge=0)
    emergency: str | None = None
    contract: str | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"it ends at block {self.to}, before it begins at {self.from_}")
        return self


class KnownFile(Section):
    """A file of known incidents."""

    incidents: tuple[KnownSettings, ...] = Field(max_length=10_000)

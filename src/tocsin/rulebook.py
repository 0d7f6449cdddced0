"""Makes the rules of the configuration (or of a file) from their settings, and cases and known incidents for them.

Part of what `app` does. It stands by itself because trying rules needs neither the store nor the workflows.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from tocsin.detect.backtest import KnownIncident
from tocsin.detect.cases import Case, CaseBlock, CaseTransfer, Expected, made_up_account
from tocsin.detect.conditions import Condition
from tocsin.detect.rules import VARIABLES, OutflowRule, variables_with
from tocsin.detect.windows import Key, WindowSpec
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.hashes import ScriptHash, account_of
from tocsin.platform import contract_named
from tocsin.rule_settings import (
    CaseSettings,
    CasesFile,
    ExpectedSettings,
    KnownFile,
    RuleSettings,
    RulesFile,
    TransferSettings,
    WindowSettings,
)
from tocsin.sections import invalid, read_section, suggestion
from tocsin.settings import NATIVE_NAMES, Settings, dangling

_CEL_WORDS = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
        *("bool", "bytes", "double", "duration", "dyn", "int", "list", "map", "string", "timestamp", "type", "uint"),
        *("has", "all", "exists", "filter", "size"),
    }
)
"""What a name in a condition can't be, or would hide."""


def outflow_rules(settings: Settings) -> Sequence[OutflowRule]:
    """The rules of the configuration, compiled.

    Raises:
        ConfigurationInvalid: a condition or the name of a window can't be used.
    """
    return [
        compiled_rule(rule, {contract_named(settings, name): name for name in rule.contracts})
        for rule in settings.rules
    ]


def with_rules_of(settings: Settings, path: Path) -> Settings:
    """The configuration with the rules of a file in place of its own.

    Raises:
        ConfigurationInvalid: the file can't be used; every problem is named.
    """
    changed = settings.model_copy(update={"rules": read_section(path, RulesFile, "file of rules").rules})
    if problems := list(dangling(changed)):
        raise invalid(path, "file of rules", problems)
    return changed


def read_cases(settings: Settings, rules: Sequence[OutflowRule], path: Path) -> Sequence[Case]:
    """The cases of a file.

    Raises:
        ConfigurationInvalid: the file can't be used; every problem is named.
    """
    file = read_section(path, CasesFile, "file of cases")
    names = _Names(settings, file.accounts)
    cases = [_case(case, names, [rule.name for rule in rules]) for case in file.cases]
    if names.problems:
        raise invalid(path, "file of cases", names.problems)
    return cases


def read_known(settings: Settings, path: Path) -> Sequence[KnownIncident]:
    """The known incidents of a TOML or JSON file.

    Raises:
        ConfigurationInvalid: the file can't be used; every problem is named.
    """
    file = read_section(path, KnownFile, "file of known incidents")
    names = _Names(settings, ())
    incidents = [
        KnownIncident(
            name=known.name or f"blocks {known.from_} to {known.to}",
            first=known.from_,
            last=known.to,
            emergency=known.emergency,
            contract=None if known.contract is None else names.account(f"incidents.{number}", known.contract),
        )
        for number, known in enumerate(file.incidents)
    ]
    if names.problems:
        raise invalid(path, "file of known incidents", names.problems)
    return incidents


def compiled_rule(rule: RuleSettings, contracts: Mapping[ScriptHash, str]) -> OutflowRule:
    """One rule over these contracts, whose names for people are given.

    Raises:
        ConfigurationInvalid: its condition or the name of a window can't be used.
    """
    windows = {name: _window(rule, name, window) for name, window in rule.windows.items()}
    condition = Condition(rule.condition, variables_with(windows), f"rule {rule.name}")
    condition.check_amounts()
    return OutflowRule(
        name=rule.name,
        emergency=rule.emergency,
        symptom=rule.symptom,
        contracts=contracts,
        window=timedelta(seconds=rule.window),
        known_recipients=frozenset(account_of(account) for account in rule.known_recipients),
        condition=condition,
        windows=windows,
    )


def _window(rule: RuleSettings, name: str, window: WindowSettings) -> WindowSpec:
    if name in VARIABLES or name in _CEL_WORDS:
        raise ConfigurationInvalid(
            "window-name-taken",
            f"rule {rule.name}: a window can't be called {name!r}, which means something else in conditions",
            next_step="give it another name, such as the time that it is over",
        )
    return WindowSpec(timedelta(seconds=window.over), Key(window.by), Key(window.distinct) if window.distinct else None)


class _Names:
    """Looks names up and collects what is wrong with them."""

    def __init__(self, settings: Settings, made_up: Collection[str]) -> None:
        self._settings, self._made_up = settings, frozenset(made_up)
        self.problems: list[str] = []

    def account(self, where: str, name: str) -> ScriptHash:
        """What a name of the file stands for."""
        if name in self._made_up:
            return made_up_account(name)
        if name in self._settings.contracts or name in NATIVE_NAMES:
            return contract_named(self._settings, name)
        try:
            return account_of(name)
        except ValueError:
            known = [*self._settings.contracts, *NATIVE_NAMES, *self._made_up]
            self.problems.append(
                f"{where}: {name!r} is no contract of the configuration, none of the file's `accounts`, no address and "
                f"no script hash{suggestion(name, known)}"
            )
            return made_up_account(name)

    def known(self, where: str, name: str, names: Sequence[str]) -> None:
        """Notes a name that is none of these."""
        if name not in names:
            self.problems.append(f"{where}: there is no rule {name!r}{suggestion(name, names)}")


def _case(case: CaseSettings, names: _Names, rules: Sequence[str]) -> Case:
    where = f"case {case.name!r}"
    expected: list[Expected] = []
    for each in case.expect:
        names.known(where, each.rule, rules)
        contract = None if each.contract is None else names.account(where, each.contract)
        for block in _blocks(each):
            if block > len(case.blocks):
                names.problems.append(f"{where}: expects something of block {block}, and has only {len(case.blocks)}")
            expected.append(Expected(each.rule, block, contract))
    return Case(
        name=case.name,
        balances=_balances(case.balances, names, where),
        blocks=tuple(
            CaseBlock(
                timedelta(seconds=block.at),
                tuple(_transfer(t, number, names, where) for number, t in enumerate(block.transfers)),
            )
            for block in case.blocks
        ),
        expected=tuple(expected),
    )


def _balances(balances: Mapping[str, str], names: _Names, where: str) -> Mapping[ScriptHash, Gas]:
    return {names.account(where, name): Gas.parse(amount) for name, amount in balances.items()}


def _blocks(expected: ExpectedSettings) -> Sequence[int]:
    return (expected.block,) if isinstance(expected.block, int) else expected.block


def _transfer(transfer: TransferSettings, number: int, names: _Names, where: str) -> CaseTransfer:
    recipient = names.account(where, transfer.to)
    return CaseTransfer(
        source=names.account(where, transfer.from_),
        recipient=recipient,
        amount=Gas.parse(transfer.amount),
        sender=recipient if transfer.sender is None else names.account(where, transfer.sender),
        transaction=transfer.transaction or f"number {number}",
    )

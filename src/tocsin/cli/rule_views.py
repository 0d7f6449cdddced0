"""What `tocsin rules` prints: rules with all that a condition may use, and how cases came out."""

from collections.abc import Mapping, Sequence

from tocsin.cli.output import duration, out
from tocsin.detect.amount_functions import FUNCTIONS
from tocsin.detect.cases import CaseResult
from tocsin.detect.rules import OutflowRule
from tocsin.detect.windows import WindowSpec
from tocsin.domain.canonical import Json


def rules_document(rules: Sequence[OutflowRule]) -> Json:
    """The rules as JSON."""
    return {"rules": [_rule(rule) for rule in rules], "functions": {f.signature: f.help for f in FUNCTIONS}}


def print_rules(rules: Sequence[OutflowRule]) -> None:
    """The rules for people."""
    for rule in rules:
        out.print(f"[bold]{rule.name}[/]  {rule.emergency}: {rule.symptom}")
        out.print(f"  watches    {', '.join(rule.contracts.values())}", markup=False)
        out.print(f"  condition  {rule.condition.source}", markup=False)
        out.print(f"  window     {duration(rule.window)}, a contract each: sum, count, share_percent", markup=False)
        for name, spec in rule.windows.items():
            out.print(f"             {name}: {_words(spec)}", markup=False)
        variables = rule.condition.variables
        used = ", ".join(f"{name} ({variables[name]})" for name in variables if name in rule.condition.mentions)
        unused = ", ".join(
            f"{name} ({kind})" for name, kind in variables.items() if name not in rule.condition.mentions
        )
        out.print(f"  uses       {used or 'nothing'}", markup=False)
        out.print(f"  may use    {unused or 'nothing else'}", markup=False)
        if rule.known_recipients:
            out.print(f"  knows      {len(rule.known_recipients)} recipient(s)", markup=False)
        out.print()
    out.print("Functions over amounts, exact to 256 bits and beyond:")
    for function in FUNCTIONS:
        out.print(f"  {function.signature:<46} {function.help}", markup=False)


def cases_document(results: Sequence[CaseResult]) -> Json:
    """How cases came out, as JSON."""
    return {
        "passed": all(result.holds for result in results),
        "cases": [{"case": r.case.name, "passed": r.holds, "problems": list(r.problems)} for r in results],
    }


def print_cases(results: Sequence[CaseResult]) -> None:
    """How cases came out, for people."""
    for result in results:
        out.print("[green]passed[/]" if result.holds else "[bold red]failed[/]", end="  ")
        out.print(result.case.name, markup=False)
        for problem in result.problems:
            out.print(f"        {problem}", markup=False)
    out.print(f"{sum(result.holds for result in results)} of {len(results)} cases passed.")


def _rule(rule: OutflowRule) -> Json:
    windows: Mapping[str, Json] = {
        name: {"over_s": spec.over.total_seconds(), "by": spec.by, "distinct": spec.distinct}
        for name, spec in rule.windows.items()
    }
    return {
        "name": rule.name,
        "emergency": rule.emergency,
        "symptom": rule.symptom,
        "contracts": {name: contract for contract, name in rule.contracts.items()},
        "condition": rule.condition.source,
        "window_s": rule.window.total_seconds(),
        "windows": windows,
        "variables": dict(rule.condition.variables),
        "uses": sorted(rule.condition.mentions),
        "known_recipients": sorted(rule.known_recipients),
    }


def _words(spec: WindowSpec) -> str:
    what = {
        "contract": "what left this contract",
        "recipient": "what this recipient got",
        "sender": "what this sender moved",
        "transaction": "what this transaction moved",
        "rule": "what left all of them",
    }[spec.by]
    distinct = "" if spec.distinct is None else f", distinct {spec.distinct}s"
    return f"{what} in {duration(spec.over)}: sum, count{distinct}"

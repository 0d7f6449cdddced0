"""Rules from the command line: shown, tried on made-up blocks, and run over the blocks of a theft that happened."""

import asyncio
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.conftest import RUNBOOK
from cli.installation import Installation, Outcome
from fakes.endpoint import proxy, rejecting
from miniapp_platform.attack import Attack, Claim
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.tocsin_toml import write_tocsin_toml

CLAIMS = 4
EXAMPLE = Path(__file__).parents[2] / "src/tocsin/cli/tocsin.example.toml"


@dataclass(frozen=True)
class Theft:
    """A platform whose vulnerable app was robbed in these blocks, and an installation that was not there."""

    installation: Installation
    heights: Sequence[int]
    taken: int

    def run(self, *arguments: object) -> Outcome:
        first, last = self.heights[0] - 20, self.heights[-1] + 3
        return self.installation.run("backtest", "--from", first, "--to", last, *arguments)


@pytest.fixture(scope="module")
def theft() -> Generator[Theft]:
    async def start() -> tuple[Platform, Sequence[Claim], Sequence[int]]:
        platform = await Platform.start(PlatformOptions(block_ms=100))
        try:
            async with platform.client() as client:
                await client.wait_height(25)
                claims = await Attack(platform, client, claims_max=CLAIMS).run()
                heights = [await client.call("gettransactionheight", c.broadcast.transaction) for c in claims]
                newest = await client.wait_height(max(int(str(h)) for h in heights) + 3)
            for node in platform.nodes:
                async with platform.client(node) as client:
                    await client.wait_height(newest)
        except BaseException:
            await platform.stop()
            raise
        return platform, claims, [int(str(height)) for height in heights]

    platform, claims, heights = asyncio.run(start())
    try:
        configuration = write_tocsin_toml(platform, RUNBOOK)
        installation = Installation(platform, configuration, platform.directory / "state")
        yield Theft(installation, heights, sum(claim.taken for claim in claims))
    finally:
        asyncio.run(platform.stop())


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A configuration that needs no platform."""
    path = tmp_path / "tocsin.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def rules(example: Path, *arguments: object) -> Outcome:
    from cli.installation import run

    return run("rules", *arguments, "-c", example)


def with_rule(example: Path, old: str, new: str) -> Path:
    text = example.read_text(encoding="utf-8")
    assert text.count(old) == 1
    example.write_text(text.replace(old, new), encoding="utf-8")
    return example


CONDITION = "condition = '!recipient_known && (amount_ge(sum, \"100\") || share_percent >= 10)'"
WINDOWED = """condition = 'amount_gt(hour.sum, "500") || payees.distinct >= 3 || same.count > 3'
[rules.windows]
hour = { over = "1h" }
payees = { over = 600, distinct = "recipient", by = "rule" }
same = { over = "1d", by = "recipient" }
"""


# What the rules are.


def test_rules_are_shown_with_conditions_types_and_windows(example: Path) -> None:
    shown = rules(with_rule(example, CONDITION, WINDOWED), "show")
    assert shown.code == 0
    for words in (
        "gas-outflow  smart-contract-exploit: Unusual fund movements",
        "watches    payment_hub",
        'condition  amount_gt(hour.sum, "500")',
        "hour: what left this contract in 1 h: sum, count",
        "payees: what left all of them in 10 min: sum, count, distinct recipients",
        "uses       hour.sum (amount), payees.distinct (integer), same.count (integer)",
        "recipient_known (boolean)",
        "amount_percent(amount, integer) -> amount",
    ):
        assert words in shown.out, words


def test_rules_are_shown_as_json(example: Path) -> None:
    (rule,) = rules(with_rule(example, CONDITION, WINDOWED), "show", "--json").document["rules"]
    assert rule["windows"]["same"] == {"over_s": 86400.0, "by": "recipient", "distinct": None}
    assert rule["uses"] == ["hour.sum", "payees.distinct", "same.count"]
    assert rule["variables"]["payees.distinct"] == "integer"
    assert "same.distinct" not in rule["variables"]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (WINDOWED.replace("hour.sum", "huor.sum"), "condition:1:15: undeclared reference to 'huor"),
        (WINDOWED.replace("same.count", "same.distinct"), "undeclared reference to 'same.distinct'"),
        (WINDOWED.replace('hour.sum, "500"', "hour.count, 500"), "found no matching overload for 'amount_gt'"),
        (WINDOWED.replace('"500"', '"500 GAS"'), "condition:1:21: '500 GAS' is no amount"),
        (WINDOWED.replace("hour =", "sum ="), "a window can't be called 'sum'"),
        (WINDOWED.replace("hour =", "in ="), "a window can't be called 'in'"),
        (WINDOWED.replace('"1h"', '"1 fortnight"'), "'1 fortnight' is no period"),
        (WINDOWED.replace('"1d"', '"2d"'), "rules.0.windows.same.over: Input should be less than or equal to 86400"),
        (WINDOWED.replace('by = "rule"', 'by = "recipient"'), "by each recipient there is always one recipient"),
        (
            WINDOWED.replace("distinct =", "distnct ="),
            "rules.0.windows.payees.distnct: unknown key (did you mean distinct?)",
        ),
    ],
)
def test_a_rule_that_can_not_be_used_is_refused_with_the_place(example: Path, rule: str, problem: str) -> None:
    shown = rules(with_rule(example, CONDITION, rule), "show", "--json")
    assert shown.code == 2
    assert problem in shown.error["message"]


# Cases.

CASES = """
accounts = ["mallory", "customer"]

[[cases]]
name = "a theft in three parts"
balances = { payment_hub = "1000" }
blocks = [
    { at = 0, transfers = [{ from = "payment_hub", to = "mallory", amount = "40" }] },
    { at = "30s", transfers = [{ from = "payment_hub", to = "mallory", amount = "40" }] },
    { at = "45s", transfers = [{ from = "customer", to = "payment_hub", amount = "3" }] },
    { at = "1m", transfers = [{ from = "payment_hub", to = "mallory", amount = "60" }] },
]
expect = [{ rule = "gas-outflow", block = 4, contract = "payment_hub" }]

[[cases]]
name = "a busy day of small withdrawals"
balances = { payment_hub = "1000" }
blocks = [
    { at = 0, transfers = [{ from = "payment_hub", to = "customer", amount = "50" }] },
    { at = "10m", transfers = [{ from = "payment_hub", to = "customer", amount = "50" }] },
]
expect = []
"""


def cases(example: Path, text: str) -> Path:
    path = example.with_name("cases.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_cases_that_hold_pass(example: Path) -> None:
    tried = rules(example, "test", cases(example, CASES))
    assert tried.code == 0, tried.out
    assert "2 of 2 cases passed." in tried.out


def test_a_case_that_expects_too_much_fails_and_says_what_the_condition_had(example: Path) -> None:
    tried = rules(example, "test", cases(example, CASES.replace("block = 4", "block = [2, 3, 4]")))
    assert tried.code == 1
    assert "failed  a theft in three parts" in tried.out
    assert (
        "gas-outflow did not fire in block 2 over payment_hub: its condition !recipient_known && "
        '(amount_ge(sum, "100") || share_percent >= 10) was false with recipient_known = false, '
        "share_percent = 8, sum = 80"
    ) in tried.out
    assert "did not fire in block 3 over payment_hub: nothing left a contract that it watches" in tried.out
    assert "1 of 2 cases passed." in tried.out


def test_a_case_that_expects_too_little_fails_and_says_what_fired(example: Path) -> None:
    tried = rules(example, "test", cases(example, CASES.replace("45", "46").replace("60", "160")), "--json")
    assert tried.code == 0
    tried = rules(example, "test", cases(example, CASES.replace('"40"', '"110"', 1)), "--json")
    assert (tried.code, tried.document["passed"]) == (1, False)
    problems = tried.document["cases"][0]["problems"]
    assert [problem[:48] for problem in problems] == [
        "gas-outflow fired in block 1 and was not expecte",
        "gas-outflow fired in block 2 and was not expecte",
    ]
    assert "110 GAS left payment_hub within 60 s (11 % of what it held)" in problems[0]


def test_windows_can_be_tried_in_cases(example: Path) -> None:
    with_rule(example, CONDITION, WINDOWED)
    text = CASES.replace("block = 4", "block = [3, 4]").replace(
        'from = "customer", to = "payment_hub"', 'from = "payment_hub", to = "customer"'
    )
    text = text.replace('to = "mallory", amount = "60"', 'to = "NXV7ZhHiyM1aHXwpVsRZC6BwNFP2jghXAq", amount = "60"')
    tried = rules(example, "test", cases(example, text), "--json")
    assert "did not fire in block 3" in tried.document["cases"][0]["problems"][0]
    tried = rules(example, "test", cases(example, text.replace("[3, 4]", "4")))
    assert tried.code == 0, tried.out


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'to = "mallory", amount = "60"',
            'to = "malory", amount = "60"',
            "'malory' is no contract of the configuration",
        ),
        ('to = "mallory", amount = "60"', 'to = "malory", amount = "60"', "did you mean mallory?"),
        ('rule = "gas-outflow"', 'rule = "gas-out"', "there is no rule 'gas-out' (did you mean gas-outflow?)"),
        ("block = 4", "block = 5", "expects something of block 5, and has only 4"),
        ("block = 4", "block = 0", "cases.0.expect.0.block"),
        ('"30s"', '"90s"', "each block must come after the one before it"),
        ('"60"', '"sixty"', "'sixty' is no amount of GAS"),
        ("expect = []", "expected = []", "cases.1.expected: unknown key (did you mean expect?)"),
        ("[[cases]]", "[[cases", "can't be read"),
    ],
)
def test_a_file_of_cases_that_can_not_be_used_is_refused_with_the_place(
    example: Path, old: str, new: str, problem: str
) -> None:
    tried = rules(example, "test", cases(example, CASES.replace(old, new)), "--json")
    assert tried.code == 2
    assert problem in tried.error["message"]


def test_a_case_that_pays_what_is_not_there_fails_and_says_so(example: Path) -> None:
    tried = rules(example, "test", cases(example, CASES.replace('payment_hub = "1000"', 'payment_hub = "50"', 1)))
    assert tried.code == 1
    assert "in block 2, payment_hub pays 40 GAS and holds only 10" in tried.out


# The past.


def test_a_backtest_finds_a_theft_that_nobody_watched(theft: Theft, tmp_path: Path) -> None:
    plot = tmp_path / "outflow.svg"
    tested = theft.run("--json", "--plot", plot)
    assert tested.code == 0, tested.err
    document = tested.document
    (firing,) = document["firings"]
    assert (firing["emergency"], firing["contract"]) == ("smart-contract-exploit", "vulnerable_app")
    assert (firing["first"], firing["last"]) == (theft.heights[0], theft.heights[-1])
    assert firing["detections"] == CLAIMS
    assert float(firing["amount"]) * 10**8 == theft.taken
    assert "100 GAS left vulnerable_app within 60 s (10 % of what it held)" in firing["summary"]
    assert (document["balances"], document["false_positives"], document["known"]) == ("historic", None, None)
    drawing = ET.parse(plot).getroot()
    assert [element.get("class") for element in drawing.iter()].count("fired") == 1


def test_what_is_known_is_told_from_false_positives(theft: Theft, tmp_path: Path) -> None:
    first, last = theft.heights[0], theft.heights[-1]
    known = tmp_path / "known.toml"
    known.write_text(
        f'[[incidents]]\nname = "the theft"\nfrom = {first}\nto = {last}\n'
        'emergency = "smart-contract-exploit"\ncontract = "vulnerable_app"\n',
        encoding="utf-8",
    )
    tested = theft.run("--known", known)
    assert tested.code == 0, tested.out
    assert "known as the theft" in tested.out
    assert "1 firing(s), 0 of them false positives; 1 of 1 known incidents noticed." in tested.out
    known.with_suffix(".json").write_text(
        json.dumps({"incidents": [{"from": first, "to": last, "contract": "payment_hub"}]}), encoding="utf-8"
    )
    tested = theft.run("--known", known.with_suffix(".json"))
    assert tested.code == 1
    assert "false positive  smart-contract-exploit over vulnerable_app" in tested.out
    assert f"missed  blocks {first} to {last}" in tested.out


def test_other_rules_can_be_tried_on_the_same_past(theft: Theft, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    rule = (
        '[[rules]]\nname = "stricter"\nemergency = "smart-contract-exploit"\nsymptom = "x"\n'
        'contracts = ["vulnerable_app"]\n'
        "condition = 'amount_gt(long.sum, \"350\") && same.count >= 4'\n"
        '[rules.windows]\nlong = { over = "1h" }\nsame = { over = "1h", by = "sender" }\n'
    )
    file.write_text(rule, encoding="utf-8")
    (firing,) = theft.run("--rules", file, "--json").document["firings"]
    assert (firing["rules"], firing["first"]) == (["stricter"], theft.heights[3])
    file.write_text(rule.replace("vulnerable_app", "vulnerable_ap"), encoding="utf-8")
    refused = theft.run("--rules", file, "--json")
    assert refused.code == 2
    assert "did you mean vulnerable_app?" in refused.error["message"]


async def test_a_node_without_old_states_gives_the_same_firing_and_it_is_said(theft: Theft, tmp_path: Path) -> None:
    text = theft.installation.configuration.read_text(encoding="utf-8")
    nodes = theft.installation.platform.nodes
    # Old states can't be had, and the present ones only through what each node answers.
    lie = rejecting("invokescripthistoric", -606, "Old state not supported")
    async with (
        proxy(nodes[0].http_url, lie) as a,
        proxy(nodes[1].http_url, lie) as b,
        proxy(nodes[2].http_url, lie) as c,
    ):
        for node, endpoint in zip(nodes, (a, b, c), strict=True):
            text = text.replace(f'url = "{node.http_url}"', f'url = "{endpoint.url}"')
        configuration = theft.installation.configuration.with_name("without-states.toml")
        configuration.write_text(text, encoding="utf-8")
        forgetful = Theft(Installation(theft.installation.platform, configuration, tmp_path), theft.heights, 0)
        tested = await asyncio.to_thread(forgetful.run)
        document = (await asyncio.to_thread(forgetful.run, "--json")).document
    assert "Balances were reconstructed from transfers, since no endpoint keeps old states" in tested.out
    assert document["balances"] == "reconstructed"
    assert document["firings"] == (await asyncio.to_thread(theft.run, "--json")).document["firings"]


@pytest.mark.parametrize(("first", "last"), [(5, 4), (0, 10**8), (-1, 3)])
def test_blocks_that_are_not_there_are_refused(theft: Theft, first: int, last: int) -> None:
    tested = theft.installation.run("backtest", f"--from={first}", f"--to={last}", "--json")
    assert tested.code == 3
    assert tested.error["code"] == "blocks-impossible"


def test_a_place_for_the_plot_is_looked_for_before_the_work(theft: Theft, tmp_path: Path) -> None:
    tested = theft.run("--plot", tmp_path / "nowhere" / "outflow.svg", "--json")
    assert (tested.code, tested.error["code"]) == (2, "file-not-writable")

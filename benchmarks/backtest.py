"""Backtest with rules on, beside the bare batched `getapplicationlog` of the same node over the same transactions.

Every transaction of the chain takes GAS from the watched account and moves some between others, so there is something
to judge in every log: on a real chain it is one in many. The floor asks for the logs of transactions that it knows,
parses nothing and judges nothing; the backtest has to read the blocks to know of them, and a balance for each block.
"""

import os
import statistics
import time

from benchmarks.report import Promise, Report, Sample
from benchmarks.traffic import Traffic, make_traffic, read_logs
from miniapp_platform.platform import Platform, PlatformOptions
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.history import LOG_REQUESTS_AHEAD
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.detect.backtest import Backtest, BacktestReport
from tocsin.respond.trial import NoOutbox
from tocsin.rule_settings import RuleSettings, WindowSettings
from tocsin.rulebook import compiled_rule

ROUNDS = 7
BLOCK_MS = 500
TRANSACTIONS = 6_000
TRANSFERS = 2
SHARE_MIN = 0.5


async def measure(rounds: int | None) -> Report:
    """Takes turns on a private chain; each turn reads everything once."""
    floor: list[float] = []
    backtest: list[float] = []
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as client:
        traffic = await make_traffic(platform, client, transactions=TRANSACTIONS, transfers=1, of_others=TRANSFERS - 1)
        node = platform.validator
        config = NetworkConfig(platform.magic, 1, (Endpoint(node.name, node.provider, node.http_url, node.ws_url),))
        async with NeoChain(config, NoOutbox()) as chain:
            for _ in range(rounds or ROUNDS):
                start = time.perf_counter()
                await read_logs(node.http_url, traffic.transactions, at_once=LOG_REQUESTS_AHEAD)
                floor.append(len(traffic.transactions) / (time.perf_counter() - start))
                start = time.perf_counter()
                report = await _backtest(chain, traffic)
                backtest.append(report.transactions / (time.perf_counter() - start))
                assert report.transactions >= len(traffic.transactions)
                assert report.movements == report.transactions
    shares = [ours / theirs for ours, theirs in zip(backtest, floor, strict=True)]
    share = statistics.median(shares)
    rate = Sample("backtest, rules on", tuple(backtest), "logs/s", floor="getapplicationlog in batches")
    return Report(
        "backtest",
        (rate, Sample("getapplicationlog in batches", tuple(floor), "logs/s")),
        (Promise(f"at least half of the floor: {share:.0%} (median of the rounds)", share >= SHARE_MIN),),
        (
            (
                f"{len(traffic.transactions)} transactions of {TRANSFERS} transfers in blocks {traffic.first} to "
                f"{traffic.last}; the rule has three windows; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs."
            ),
        ),
    )


async def _backtest(chain: NeoChain, traffic: Traffic) -> BacktestReport:
    rule = RuleSettings(
        name="gas-outflow",
        emergency="smart-contract-exploit",
        symptom="Unusual fund movements",
        contracts=(traffic.payer,),
        windows={
            "hour": WindowSettings(over=3_600),
            "payees": WindowSettings(over=600, distinct="recipient"),
        },
        condition='!recipient_known && (amount_ge(sum, "50") || amount_ge(hour.sum, "9") || payees.distinct > 1000000)',
    )
    rules = [compiled_rule(rule, {traffic.payer: "payer"})]
    return await Backtest(rules, chain.history, chain.history, chain.reader).run(traffic.first, traffic.last)

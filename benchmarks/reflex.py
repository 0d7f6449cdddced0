"""The reflex: from the event of a theft in a node's pool to a pause that a node has accepted, with all that is Tocsin.

Beside it the floor: the same calls (rehearse, sign, send) in a bare script, over the same nodes in the same run, in
turns. Each theft is a real transaction in a real pool, and its rehearsal takes a tenth of what the app holds. The
validator is halted, so that neither thefts nor pauses ever take effect, and every theft is answered as if it was the
first (`EveryTheft` leaves out only the memory of earlier shots, which would answer the second theft with nothing).
What is measured ends with the acceptance; the incident and the event log are waited for before the next theft comes.

Real thefts, in real blocks, are `same_block`'s.
"""

import asyncio
import base64
import itertools
import json
import os
import secrets
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neo3.network.payloads.transaction import Transaction
from neo3.network.payloads.verification import Witness
from websockets.asyncio.client import connect

from benchmarks.gallery import Gallery, fund, open_gallery, steal_calls, theft_fees
from benchmarks.report import Promise, Report, Sample
from miniapp_platform.chain import Authority, Chain, Fees, SignedTransaction
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.node import HOST, Node
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.script import Call, script, script_hash
from tocsin.connect.reflex_ports import FEE_STEP

EVENTS = 1_000
TURN = 100
"""Thefts in one turn of Tocsin, and then as many in one of the bare script."""
TURN_EVENTS_MIN = 10
BLOCK_MS = 500
RATIO_MAX = 1.5
WAIT_S_MAX = 10.0
QUIET_S = 0.05
"""After each theft, on both sides, for what its incident still does."""
PAUSE_BYTES = 280
"""About the size of the pause; the floor's own is a little smaller."""

type Thief = Callable[[SignedTransaction], None]
"""Hands a theft to a node, and does not wait for it."""


async def measure(rounds: int | None) -> Report:
    """Takes turns on a private chain; `rounds` is the number of thefts."""
    events = rounds or EVENTS
    turn = max(TURN_EVENTS_MIN, min(TURN, events // 2))
    tocsin: list[float] = []
    floor: list[float] = []
    keeping: list[float] = []
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform:
        node = platform.node("follower-1")
        async with platform.client(node) as client, _thief(node) as thief, _gallery(platform) as gallery:
            await fund(platform, client)
            fees = await theft_fees(platform, client)
            bare = await BareScript.prepare(platform, client)
            await gallery.has_seen(await client.height())
            platform.validator.freeze()
            while len(tocsin) < events:
                tocsin += await _tocsin_turn(gallery, thief, await _thefts(platform, client, fees, turn))
                floor += await bare.turn(node.ws_url, thief, await _thefts(platform, client, fees, turn))
                journal = platform.directory / "journal"
                keeping += await bare.turn(node.ws_url, thief, await _thefts(platform, client, fees, turn), journal)
            platform.validator.thaw()
    ours = Sample("reflex: event until pause accepted", tuple(tocsin), "ms", floor="bare script")
    theirs = Sample("bare script", tuple(floor), "ms")
    durable = Sample("bare script that keeps its bytes", tuple(keeping), "ms", floor="bare script")
    ratio = statistics.median(tocsin) / statistics.median(floor)
    return Report(
        "reflex",
        (ours, theirs, durable),
        (Promise(f"p50 at most {RATIO_MAX:g} x that of the bare script: {ratio:.2f} x", ratio <= RATIO_MAX),),
        (
            (
                f"p99 {ours.quantile(0.99):.1f} ms, of the bare script {theirs.quantile(0.99):.1f} ms, "
                f"of the one that keeps its bytes {durable.quantile(0.99):.1f} ms."
            ),
            (
                f"p50 is {statistics.median(tocsin) / statistics.median(keeping):.2f} x that of a bare script that, as "
                "Tocsin does, has its bytes on the disk (here: appended to a file, fdatasync) before it sends them."
            ),
            (
                "Tocsin's side also checks the event's hash, judges by the rules, keeps the outbox in its database, "
                "and sends to two nodes at once, which share this machine; the bare script sends to one."
            ),
            f"Three nodes on loopback, the validator halted; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs.",
        ),
    )


@asynccontextmanager
async def _thief(node: Node) -> AsyncGenerator[Thief]:
    command = [sys.executable, "-m", "benchmarks.thief", HOST, str(node.plan.rpc_port)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    lines = process.stdin
    assert lines is not None
    try:
        yield lambda theft: lines.write(base64.b64encode(theft.raw) + b"\n")
    finally:
        process.kill()
        await process.wait()


def _gallery(platform: Platform) -> AbstractAsyncContextManager[Gallery]:
    """With event log, outbox and rules; what an incident then does has no part in this, and takes its time."""
    return open_gallery(platform, leave_out=platform.validator.name, workflows=False)


async def _thefts(platform: Platform, client: Chain, fees: Fees, number: int) -> Sequence[SignedTransaction]:
    return [await client.build(*steal_calls(platform), fees) for _ in range(number)]


async def _tocsin_turn(gallery: Gallery, thief: Thief, thefts: Sequence[SignedTransaction]) -> list[float]:
    reactions: list[float] = []
    async with gallery.watching():
        for theft in thefts:
            thief(theft)
            async with asyncio.timeout(WAIT_S_MAX):
                shot = await gallery.recorded.get()
            assert shot.transaction.tx == theft.hash
            reactions.append(shot.reaction_ms)
            await asyncio.sleep(QUIET_S)
    return reactions


@dataclass(frozen=True, slots=True)
class BareScript:
    """Rehearse, sign, send: nothing else, over one WebSocket."""

    platform: Platform
    calls: bytes
    fees: Fees
    valid_until: int

    @classmethod
    async def prepare(cls, platform: Platform, client: Chain) -> "BareScript":
        registry = script_hash(platform.contracts.pause_registry)
        call = Call(registry, "setPaused", (True, VULNERABLE_APP_ID))
        fees = await client.fees([call], [Authority(platform.accounts.operator, (registry,))])
        return cls(platform, script([call]), fees, await client.height() + 100)

    async def turn(
        self, url: str, thief: Thief, thefts: Sequence[SignedTransaction], journal: Path | None = None
    ) -> list[float]:
        """Milliseconds for each theft. With a `journal` the bytes are on the disk before they are sent."""
        reactions: list[float] = []
        ids = itertools.count(1)
        async with (
            connect(url, compression=None, proxy=None) as events,
            connect(url, compression=None, proxy=None) as rpc,
        ):

            async def call(socket: Any, method: str, *parameters: object) -> Any:
                await socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": next(ids), "method": method, "params": parameters})
                )
                reply = json.loads(await socket.recv())
                assert "error" not in reply, reply
                return reply["result"]

            await call(events, "subscribe", "mempool_event", {"type": "added"})
            for theft in thefts:
                thief(theft)
                while True:
                    event = json.loads(await events.recv())
                    start = time.perf_counter()
                    told = event["params"][0]["transaction"]
                    if told["hash"] == theft.hash:
                        break
                rehearsed = await call(rpc, "invokecontainedscript", told)
                assert rehearsed["state"] == "HALT", rehearsed
                signed = self._signed(told)
                if journal is not None:
                    _keep(journal, signed)
                await call(rpc, "sendrawtransaction", signed)
                reactions.append(1000 * (time.perf_counter() - start))
                await asyncio.sleep(QUIET_S)
        return reactions

    def _signed(self, theft: dict[str, Any]) -> str:
        operator, registry = self.platform.accounts.operator, script_hash(self.platform.contracts.pause_registry)
        per_byte = int(theft["netfee"]) // theft["size"] + 1 + FEE_STEP
        transaction = Transaction(
            version=0,
            nonce=secrets.randbits(32),
            system_fee=self.fees.system,
            network_fee=max(self.fees.network, per_byte * PAUSE_BYTES),
            valid_until_block=self.valid_until,
            signers=[Authority(operator, (registry,)).signer()],
            script=self.calls,
        )
        message = self.platform.magic.to_bytes(4, "little") + transaction.hash().to_array()
        transaction.witnesses = [Witness(operator.invocation_script(message), operator.verification_script)]
        return base64.b64encode(transaction.to_array()).decode()


def _keep(journal: Path, text: str) -> None:
    with journal.open("a", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fdatasync(file.fileno())

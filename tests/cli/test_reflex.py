"""The reflex in a real `tocsin serve`, against real thefts: when it fires, when it does not, and what people are told.

A test that needs the pause to win the block freezes the validator: then nothing is decided by how busy the machine is.
"""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cli.installation import Installation, Serving
from cli.pauses import Install, lifted
from miniapp_platform.admin import Admin
from miniapp_platform.attack import Attack, Claim
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.platform import Platform

__all__ = ["lifted"]

EXPLOIT = "smart-contract-exploit"
APP_STOP = f"the app {VULNERABLE_APP_ID}"


async def prepared(install: Install, *replaced: tuple[str, str], arm: bool = True) -> Installation:
    installation = install(**{f"text_{number}": pair for number, pair in enumerate(replaced)})
    await asyncio.to_thread(installation.accept)
    if arm:
        await asyncio.to_thread(installation.done, "arm")
    return installation


@asynccontextmanager
async def serving(installation: Installation) -> AsyncGenerator[Serving]:
    """`tocsin serve` as a process, without holding up this event loop."""
    context = installation.serving()
    running = await asyncio.to_thread(context.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def service(installation: Installation) -> Mapping[str, Any]:
    """How the reflex stands in the service, as `tocsin armed` shows it; empty before it has said anything."""
    return installation.run("armed", "--json").document["service"] or {}


async def until_service(installation: Installation, **expected: object) -> Mapping[str, Any]:
    """How the reflex stands, as soon as it stands so; `stop` is the readiness of the attacked app's stop."""

    def look() -> Mapping[str, Any] | None:
        found = service(installation)
        if not found or not found["running"]:
            return None
        stop = next((each["readiness"] for each in found["stops"] if each["name"] == APP_STOP), None)
        listening = any(source["state"] == "listening" for source in found["pool"])
        seen = {**found, "stop": stop, "listening": listening}
        return found if all(seen[name] == value for name, value in expected.items()) else None

    return await asyncio.to_thread(installation.until, look)


async def until_incident(installation: Installation) -> str:
    """The one incident, as soon as it is there."""

    def look() -> str | None:
        found = installation.done("incidents")
        assert len(found) <= 1, found
        return found[0]["id"] if found else None

    return await asyncio.to_thread(installation.until, look)


async def until_told(installation: Installation, incident: str, words: str) -> str:
    """The sentence on the timeline that has these words, as soon as it stands there."""

    def look() -> str | None:
        timeline = installation.done("incident", incident)["timeline"]
        return next((entry["text"] for entry in timeline if words in entry["text"]), None)

    return await asyncio.to_thread(installation.until, look)


async def steal(platform: Platform) -> Claim:
    """One claim of the attacker, through a node of its own, until it has ended."""
    async with platform.client(platform.node("follower-2")) as client:
        (claim,) = await Attack(platform, client, claims_max=1).run()
    return claim


@asynccontextmanager
async def theft_waiting(platform: Platform) -> AsyncGenerator[asyncio.Task[Claim]]:
    """A theft stands in the pools, and no block comes before the validator is thawed."""
    platform.validator.freeze()
    async with asyncio.TaskGroup() as tasks:
        theft = tasks.create_task(steal(platform))
        try:
            yield theft
        finally:
            platform.validator.thaw()


async def pauses_sent(platform: Platform, since: int) -> Sequence[str]:
    """Transactions of the pause key in blocks from `since` on."""
    operator = platform.accounts.operator.script_hash
    async with platform.client() as client:
        blocks = range(since, await client.height() + 1)
        return [tx for block in blocks for tx in await client.transactions_of(operator, block)]


async def height(platform: Platform) -> int:
    async with platform.client() as client:
        return await client.height()


async def test_a_theft_is_stopped_before_it_is_in_a_block_and_the_pause_stays_until_people_resume(
    install: Install, platform: Platform
) -> None:
    installation = await prepared(install)
    before = await height(platform)
    async with serving(installation):
        await until_service(installation, held_back=None, stop="ready", listening=True)
        async with theft_waiting(platform) as theft:
            fired = await until_service(installation, shots=1)
            platform.validator.thaw()
            claim = await theft
        assert (claim.state, claim.taken) == ("FAULT", 0)
        assert "paused" in claim.fault
        shot = fired["last_shot"]
        assert (shot["attack"], shot["stop"]) == (claim.broadcast.transaction, APP_STOP)
        assert shot["reaction_ms"] > 0

        incident = await until_incident(installation)
        step = await asyncio.to_thread(installation.until_step, incident, 1, "done")
        assert json.dumps(step).count(shot["tx"]) >= 1
        assert await pauses_sent(platform, before + 1) == [shot["tx"]]
        assert (await until_service(installation, stop="holding"))["shots"] == 1
        async with platform.client() as client:
            await Admin(platform, client).set_app_paused(VULNERABLE_APP_ID, paused=False)
        await until_service(installation, stop="ready")
    after = await asyncio.to_thread(service, installation)
    assert (after["running"], after["shots"]) == (False, 1), "the file stays, and says that nobody serves"


async def test_not_armed_it_says_so_and_the_ordinary_procedure_runs(install: Install, platform: Platform) -> None:
    installation = await prepared(install, arm=False)
    before = await height(platform)
    async with serving(installation):
        held_back = "not armed: 0 of 1 consents to the present reflex stand"
        await until_service(installation, held_back=held_back, stop="ready", listening=True)
        assert (await steal(platform)).taken > 0
        incident = await until_incident(installation)
        assert "The reflex did not fire" in await until_told(installation, incident, held_back)
        waiting = await asyncio.to_thread(installation.until_waiting, incident, "approve")
        assert waiting["step"] == 1
    assert await pauses_sent(platform, before + 1) == []


async def test_in_an_installation_that_only_observes_it_says_what_it_would_have_done(
    install: Install, platform: Platform
) -> None:
    installation = await prepared(install, ('mode = "act"', 'mode = "observe"'))
    before = await height(platform)
    async with serving(installation):
        await until_service(installation, held_back="this installation only observes", listening=True, stop="ready")
        assert (await steal(platform)).taken > 0
        incident = await until_incident(installation)
        told = await until_told(installation, incident, "this installation only observes")
        assert f"would have fired the pause of {APP_STOP}" in told
    assert await pauses_sent(platform, before + 1) == []


async def test_what_known_accounts_do_is_left_to_the_rules_over_blocks(install: Install, platform: Platform) -> None:
    known = f'reflex = {{ known = ["{platform.accounts.attacker.address}"] }}'
    installation = await prepared(install, ('mode = "act"', f'mode = "act"\n{known}'))
    async with serving(installation):
        await until_service(installation, held_back=None, stop="ready", listening=True)
        assert (await steal(platform)).taken > 0
        incident = await until_incident(installation)
        await asyncio.to_thread(installation.until_waiting, incident, "approve")
        timeline = json.dumps(await asyncio.to_thread(installation.done, "incident", incident))
        assert "eflex" not in timeline
        assert (await asyncio.to_thread(service, installation))["shots"] == 0


async def test_without_a_pool_to_watch_it_says_so_at_once_and_falls_back_to_blocks(
    install: Install, platform: Platform
) -> None:
    installation = await prepared(install, *((f'ws = "{node.ws_url}"\n', "") for node in platform.nodes))
    async with serving(installation) as running:
        await asyncio.to_thread(running.until_said, "pool_not_watched")
        found = await asyncio.to_thread(
            installation.until, lambda: found if (found := service(installation)).get("blocks_only") else None
        )
        assert "no endpoint tells of pending transactions" in found["blocks_only"]
        assert (await steal(platform)).taken > 0
        incident = await until_incident(installation)
        await asyncio.to_thread(installation.until_waiting, incident, "approve")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
async def test_a_shot_that_waits_for_its_block_outlives_the_service(
    install: Install, platform: Platform, number: signal.Signals
) -> None:
    installation = await prepared(install)
    before = await height(platform)
    async with serving(installation) as running:
        await until_service(installation, held_back=None, stop="ready", listening=True)
        async with theft_waiting(platform) as theft:
            shot = (await until_service(installation, shots=1))["last_shot"]
            incident = await until_incident(installation)
            await asyncio.to_thread(running.end, number)
            async with serving(installation):
                await until_service(installation, held_back=None, stop="fired", shots=0)
                platform.validator.thaw()
                assert (await theft).state == "FAULT"
                await asyncio.to_thread(installation.until_step, incident, 1, "done")
                await until_service(installation, stop="holding", shots=0)
    assert await pauses_sent(platform, before + 1) == [shot["tx"]]
    timeline = (await asyncio.to_thread(installation.done, "incident", incident))["timeline"]
    assert len([entry for entry in timeline if "verified" in entry["text"]]) == 1

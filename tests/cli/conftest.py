"""What the tests of the command line share: one reference platform, and an installation of Tocsin for each test."""

import asyncio
import itertools
import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from cli.installation import Installation
from miniapp_platform.platform import Platform, PlatformOptions
from miniapp_platform.tocsin_toml import write_tocsin_toml

BLOCK_MS = 100
RUNBOOK = Path(__file__).parents[2] / "runbooks" / "EMERGENCY_RUNBOOK.md"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def platform() -> Generator[Platform]:
    async def start() -> Platform:
        return await Platform.start(PlatformOptions(block_ms=BLOCK_MS))

    started = asyncio.run(start())
    try:
        yield started
    finally:
        asyncio.run(started.stop())
    assert started.processes() == ()


@pytest.fixture
def install(platform: Platform, tmp_path: Path) -> Callable[..., Installation]:
    """Makes an installation; keyword arguments replace texts of its configuration by others."""

    def make(**replaced: tuple[str, str]) -> Installation:
        text = write_tocsin_toml(platform, RUNBOOK).read_text(encoding="utf-8")
        number = next(_numbers)
        state = tmp_path / f"state-{number}"
        for old, new in (('state = "tocsin-state"', f"state = {json.dumps(str(state))}"), *replaced.values()):
            assert old in text
            text = text.replace(old, new)
        # It lies in the platform's folder, as wallets are named relative to it.
        configuration = platform.directory / f"installation-{number}.toml"
        configuration.write_text(text, encoding="utf-8")
        return Installation(platform, configuration, state)

    return make


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    return install()

"""What the tests of `tocsin pause` share: looks into the outbox file, and a platform mended after each test."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import pytest

from cli.installation import WAIT_S_MAX, Installation
from miniapp_platform.admin import Admin
from miniapp_platform.deploy import VULNERABLE_APP_ID
from miniapp_platform.platform import Platform
from tocsin.connect.outbox_file import OUTBOX_FILE

WHY = ("--reason", "funds are leaving")
PAUSE_KEY = '[keys.pause]\nwallet = "wallets/operator.json"\npassword_file = "password"'

type Install = Callable[..., Installation]


@pytest.fixture(autouse=True)
async def lifted(platform: Platform) -> AsyncGenerator[None]:
    """Whatever a test has paused and broken is mended after it."""
    yield
    for node in platform.nodes:
        node.thaw()
        if not node.running:
            await node.restart()
    async with platform.client() as client:
        admin = Admin(platform, client)
        await admin.resume_all()
        await admin.set_app_paused(VULNERABLE_APP_ID, paused=False)
        height = await client.height()
    for node in platform.nodes:
        async with platform.client(node) as client:
            await client.wait_height(height, WAIT_S_MAX)


def written(installation: Installation, record: str = "put") -> Sequence[Mapping[str, Any]]:
    """The lines of this kind in the installation's outbox file."""
    file = installation.state / OUTBOX_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line for line in map(json.loads, lines) if line["record"] == record]


def refused(installation: Installation, *arguments: str) -> Mapping[str, Any]:
    error = installation.refused("pause", *arguments)
    assert written(installation) == []
    assert error["next_step"]
    return error

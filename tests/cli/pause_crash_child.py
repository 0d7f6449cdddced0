"""`tocsin pause --all` that is killed right after its transaction stands in the outbox, before anybody was offered it.

python pause_crash_child.py CONFIGURATION
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tocsin.connect.outbox_file import OUTBOX_FILE, FileOutbox
from tocsin.connect.ports import OutboxEntry
from tocsin.domain.bundles import PauseTarget
from tocsin.platform import open_break_glass
from tocsin.settings import read_settings


class KilledAfterPut(FileOutbox):
    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        await super().put(entry)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")


async def main(configuration: Path) -> None:
    settings = read_settings(configuration)
    settings.state.mkdir(mode=0o700, exist_ok=True)
    about = {"run": "child", "by": "carol", "reason": "the first try", "target": "all"}
    outbox = KilledAfterPut(settings.state / OUTBOX_FILE, about)
    async with open_break_glass(settings, outbox, run="child", tell=print) as glass:
        await glass.pause(PauseTarget(), "the first try")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

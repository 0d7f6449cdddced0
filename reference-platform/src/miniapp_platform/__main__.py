"""`python -m miniapp_platform`: run the platform in the foreground and print where it is, until Ctrl-C.

It also writes the `tocsin.toml` that describes the platform to Tocsin, so that the commands of the tutorial have one.
"""

import argparse
import asyncio
import contextlib
import sys
from dataclasses import asdict
from pathlib import Path

from miniapp_platform.errors import PlatformError
from miniapp_platform.platform import BLOCK_MS_DEFAULT, Platform, PlatformOptions
from miniapp_platform.tocsin_toml import write_tocsin_toml

RUNBOOK_DEFAULT = Path("runbooks", "EMERGENCY_RUNBOOK.md")


def main() -> int:
    """Return 0 when ended by Ctrl-C, 1 when the platform did not start."""
    parser = argparse.ArgumentParser(prog="miniapp_platform", description="Run the reference platform until Ctrl-C.")
    parser.add_argument("--block-ms", type=int, help=f"time between blocks (default {BLOCK_MS_DEFAULT})")
    parser.add_argument("--prepared", type=Path, help="a folder made by Platform.prepare, to start from a copy of it")
    parser.add_argument("--directory", type=Path, help="a folder to make and keep (default: a temporary one)")
    parser.add_argument(
        "--runbook", type=Path, default=RUNBOOK_DEFAULT, help="what the tocsin.toml names (default: %(default)s)"
    )
    arguments = parser.parse_args()
    options = PlatformOptions(block_ms=arguments.block_ms, prepared=arguments.prepared, directory=arguments.directory)
    try:
        asyncio.run(_serve(options, arguments.runbook))
    except KeyboardInterrupt:
        return 0
    except PlatformError as error:
        print(f"the platform did not start: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(options: PlatformOptions, runbook: Path) -> None:
    async with Platform.start(options) as platform:
        configuration = write_tocsin_toml(platform, runbook)
        for node in platform.nodes:
            print(f"{node.name:12} {node.provider:8} {node.http_url}  {node.ws_url}")
        for name, script_hash in asdict(platform.contracts).items():
            print(f"{name:21} {script_hash}")
        print(f"{'network magic':21} {platform.magic}")
        print(f"{'folder':21} {platform.directory}")
        print(f"{'configuration':21} {configuration}", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())

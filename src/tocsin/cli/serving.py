"""`tocsin init` writes a commented configuration; `tocsin serve` watches the chain and carries incidents on."""

import asyncio
import signal
from importlib import resources
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tocsin.cli.options import Options
from tocsin.cli.output import err, out, print_json
from tocsin.domain.errors import Refused
from tocsin.settings import CONFIGURATION_FILE, Settings


def init(path: Path = Path(CONFIGURATION_FILE), *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Write a commented configuration to fill in. An existing file is never overwritten.

    Parameters
    ----------
    path: Where to write it.
    json: Print one JSON document.
    """
    text = resources.files("tocsin.cli").joinpath("tocsin.example.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Refused("file-exists", f"{path} is there already", next_step="edit it, or name another path") from error
    except OSError as error:
        raise Refused(
            "file-not-writable", f"{path} can't be written: {error}", next_step="name another path"
        ) from error
    if json:
        print_json({"file": str(path)})
    else:
        out.print(f"{path} is written. Next: fill it in, then `tocsin dry-run smart-contract-exploit`.", markup=False)


def serve(*, options: Options | None = None) -> None:
    """Watch the chain and carry incidents on, until Ctrl-C or SIGTERM."""
    options = options or Options()
    settings = options.settings()
    asyncio.run(_serve(settings))
    if options.json:
        print_json({"ended": True})


async def _serve(settings: Settings) -> None:
    from tocsin.app import open_service

    async with open_service(settings) as service:
        survey = await service.chain.survey()
        for endpoint in survey:
            err.print(f"  {endpoint}", markup=False)
        err.print(f"Watching {settings.name}, mode {settings.mode}. Ctrl-C ends it.", markup=False)
        running = asyncio.create_task(service.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            err.print("ended; open incidents go on when it is started again")

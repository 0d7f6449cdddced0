"""`tocsin init` writes a commented configuration; `tocsin serve` watches the chain and carries incidents on."""

import asyncio
import signal
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.cli.options import JsonFlag, Options
from tocsin.cli.output import err, log_to_standard_error, moment, out, print_json
from tocsin.domain.errors import Refused

if TYPE_CHECKING:
    from tocsin.connect.neo.nodes import EndpointStatus
    from tocsin.respond.news import News
    from tocsin.settings import Settings

_TELL_S = 0.25


def init(path: Path | None = None, /, *, json: JsonFlag = False) -> None:
    """Write a commented configuration to fill in. An existing file is never overwritten.

    Parameters
    ----------
    path
        Where to write it (default: tocsin.toml in this folder).
    json
        Print one JSON document.
    """
    from tocsin.settings import CONFIGURATION_FILE

    path = path or Path(CONFIGURATION_FILE)
    text = resources.files("tocsin.cli").joinpath("tocsin.example.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Refused("file-exists", f"{path} is there already", next_step="edit it, or name another path") from error
    except OSError as error:
        raise Refused(
            "file-not-writable", f"{path} can't be written: {error.strerror}", next_step="name another path"
        ) from error
    if json:
        print_json({"file": str(path)})
    else:
        out.print(f"{path} is written. Next: fill it in, then `tocsin dry-run smart-contract-exploit`.", markup=False)


def serve(*, options: Options | None = None) -> None:
    """Watch the chain and carry incidents on, until Ctrl-C or SIGTERM."""
    options = options or Options()
    log_to_standard_error()
    asyncio.run(_until_told(options.settings()))
    if options.json:
        print_json({"ended": True})


async def _until_told(settings: "Settings") -> None:
    """Serves until the first SIGINT or SIGTERM, which may come while it is still starting."""
    serving = asyncio.create_task(_serve(settings), name="serve")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        err.print("Ended. Open incidents go on when it is started again.")


async def _serve(settings: "Settings") -> None:
    from tocsin.app import open_service
    from tocsin.respond.news import News

    async with open_service(settings) as service:
        for endpoint in await service.chain.survey():
            err.print(_line(endpoint), markup=False)
        try:
            runbook = await service.desk.library.accepted()
        except Refused as refused:
            err.print(f"[bold yellow]No incident can be declared:[/] {refused.message}")
            err.print(f"  next  {refused.next_step}", markup=False)
        else:
            err.print(f"Runbook {runbook.file} (SHA-256 {runbook.hash[:12]}) is accepted.", markup=False)
        err.print(f"Watching {settings.name}, mode {settings.mode}. Ctrl-C ends it.", markup=False)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.run(), name="service")
            tasks.create_task(_tell(News(service.desk.incidents)), name="tell")


async def _tell(news: "News") -> None:
    """Prints what happens in incidents, from now on, until cancelled."""
    await news.catch_up()
    while True:
        for new in await news.latest():
            err.print(f"{moment(new.entry.at)}  {new.incident}  {new.entry.author}: {new.entry.sentence}", markup=False)
        await asyncio.sleep(_TELL_S)


def _line(status: "EndpointStatus") -> str:
    endpoint = status.endpoint
    stands = f"at block {status.height}" if status.problem is None else status.problem
    return f"  {endpoint.name} ({endpoint.provider}) {stands}"

"""`tocsin demo` and `tocsin drill`: the same drill, once told as a story and once scored for scripts."""

import asyncio
import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from tocsin.cli.options import JsonFlag
from tocsin.cli.output import EXIT_DID_NOT_HOLD, EXIT_DONE, err, log_to_standard_error, out, print_json
from tocsin.domain.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from tocsin.drill.report import DrillReport

RUNBOOK_NAME = "EMERGENCY_RUNBOOK.md"


class DrillName(StrEnum):
    """The drills there are."""

    SMART_CONTRACT_EXPLOIT = "smart-contract-exploit"


class SabotageName(StrEnum):
    """What can be broken beforehand, so that the drill must fail."""

    OPERATOR = "operator"


type BlockMilliseconds = Annotated[int, Parameter(name="--block-ms", validator=Number(gte=20, lte=60_000))]
"""Milliseconds between the blocks of the private chains; neo-go can't keep up with less than 20."""


def demo(
    *,
    serve: Annotated[bool, Parameter(negative=())] = False,
    block_ms: BlockMilliseconds = 1_000,
    json: JsonFlag = False,
) -> int:
    """Watch a real private chain being attacked, and the attack fail.

    Parameters
    ----------
    serve
        Keep the platform and Tocsin up afterwards, until Ctrl-C.
    json
        Tell the story on standard error, and print the report as one JSON object.
    """
    from tocsin.cli.drill_views import StoryTeller

    _require_platform()
    from tocsin.drill.exploit import ExploitDrill

    async def hold(configuration: Path) -> None:
        story.print(
            f"\nThe platform stays up until Ctrl-C. In another terminal:\n  tocsin incidents -c {configuration}"
        )
        await asyncio.Event().wait()

    story = err if json else out
    log_to_standard_error(warnings_only=True)
    with StoryTeller(story) as narrator:
        drill = ExploitDrill(_runbook(), narrator, block_ms=block_ms, hold=hold if serve else None)
        report = asyncio.run(drill.run())
    return _verdict(report, as_json=json)


def drill(
    name: DrillName,
    /,
    *,
    sabotage: SabotageName | None = None,
    same_block: Annotated[bool, Parameter(negative=())] = False,
    block_ms: BlockMilliseconds = 1_000,
    json: JsonFlag = False,
) -> int:
    """Break a private platform for real, let Tocsin respond, and score it. Exit code 1 if the drill fails.

    Parameters
    ----------
    name
        Which drill.
    sabotage
        Break the remedy too; the drill must then fail honestly.
    same_block
        Arm the reflex first, so that the pause stands before the theft in the theft's own block.
    json
        Print the report as one JSON object.
    """
    from tocsin.cli.drill_views import StoryTeller

    _require_platform()
    from tocsin.drill.exploit import ExploitDrill, Sabotage

    del name  # there is one drill so far
    log_to_standard_error(warnings_only=True)
    with StoryTeller(err) as narrator:
        broken = Sabotage(sabotage) if sabotage else None
        exploit = ExploitDrill(_runbook(), narrator, block_ms=block_ms, sabotage=broken, same_block=same_block)
        report = asyncio.run(exploit.run())
    return _verdict(report, as_json=json)


def _verdict(report: "DrillReport", *, as_json: bool) -> int:
    from tocsin.cli.drill_views import print_scorecard

    if as_json:
        print_json(report.as_json())
    else:
        print_scorecard(report)
    return EXIT_DONE if report.passed else EXIT_DID_NOT_HOLD


def _runbook() -> Path:
    """The runbook that drills follow: in this folder, or where Tocsin's sources lie."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[3]):
        path = folder / "runbooks" / RUNBOOK_NAME
        if path.is_file():
            return path
    raise ConfigurationInvalid(
        "no-drill-runbook",
        f"there is no runbooks/{RUNBOOK_NAME} in this folder",
        next_step="run it from a checkout of Tocsin",
    )


def _require_platform() -> None:
    if importlib.util.find_spec("miniapp_platform") is None:
        raise ConfigurationInvalid(
            "no-reference-platform",
            "drills need the reference platform, which is not installed here",
            next_step="install it: `make setup` in a checkout of Tocsin",
        )

"""`tocsin runbook show|accept` and `tocsin dry-run`: the document as compiled, its acceptance, and its preflights."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import ActingOptions, Options
from tocsin.cli.output import EXIT_DONE, EXIT_REFUSED, out, print_json
from tocsin.cli.runbook_views import print_emergency, print_runbook, print_trial, trial_document
from tocsin.domain.canonical import Json
from tocsin.domain.errors import ConfigurationInvalid, Refused

if TYPE_CHECKING:
    from tocsin.respond.trial import Trial
    from tocsin.runbook.model import Emergency, Runbook
    from tocsin.settings import Settings

DEFAULT_RUNBOOK = Path("runbooks/EMERGENCY_RUNBOOK.md")

type RunbookFile = Annotated[Path | None, Parameter(name="--file")]
"""A runbook file instead of the configured one."""

runbook = App(name="runbook", help="Show the runbook as compiled, or accept a changed one.")


@runbook.command
def show(emergency: str | None = None, /, *, file: RunbookFile = None, options: Options | None = None) -> None:
    """Print the runbook, or one emergency of it, as Tocsin has compiled it.

    Parameters
    ----------
    emergency
        An emergency's slug, number or title; all of the document without one.
    """
    from tocsin.runbook.as_json import emergency_json, runbook_json
    from tocsin.runbook.source import read_runbook

    options = options or Options()
    compiled = read_runbook(file or _configured(options))
    if emergency is None:
        if options.json:
            print_json(runbook_json(compiled))
        else:
            print_runbook(compiled)
        return
    found = find_emergency(compiled, emergency)
    if options.json:
        print_json(emergency_json(found))
    else:
        print_emergency(found)


@runbook.command
def accept(*, file: RunbookFile = None, options: ActingOptions | None = None) -> None:
    """Accept the runbook as it stands, signed with your enrolled key. Until enough people have, it stays inert.

    The first acceptance, and one where an action that changes something has changed, need two people.
    """
    from tocsin.app import open_desk

    options = options or ActingOptions()
    settings = options.settings()
    path = file or settings.runbook

    async def main() -> Json:
        async with open_desk(settings) as desk:
            principal = options.principal(settings)
            desk.principals.get(principal)
            sign = await desk.signer(principal)
            text = await asyncio.to_thread(path.read_bytes)
            acceptance = await desk.library.accept(text, str(path), principal, sign)
            if not options.json:
                by = ", ".join(acceptance.accepted_by)
                out.print(
                    f"{path}: accepted by {by} ({len(acceptance.accepted_by)} of {acceptance.needed})", markup=False
                )
                if not acceptance.complete:
                    out.print("It stays inert until another person runs `tocsin runbook accept --as NAME`.")
            return {
                "runbook": acceptance.runbook.hash,
                "accepted_by": list(acceptance.accepted_by),
                "needed": acceptance.needed,
                "complete": acceptance.complete,
            }

    document = asyncio.run(main())
    if options.json:
        print_json(document)


def dry_run(emergency: str, /, *, file: RunbookFile = None, options: Options | None = None) -> int:
    """Try every preflight of an emergency's procedure against the live platform, and change nothing.

    Exit code 3 when a command would be refused in the emergency; each refusal names its line in the runbook.

    Parameters
    ----------
    emergency
        The emergency's slug, number or title.
    """
    from tocsin.runbook.source import read_runbook

    options = options or Options()
    settings = options.settings()
    compiled = read_runbook(file or settings.runbook)
    found = find_emergency(compiled, emergency)
    trials = asyncio.run(_try(settings, compiled, found))
    refused = [trial for trial in trials if trial.error is not None]
    if options.json:
        print_json({"emergency": found.slug, "passed": not refused, "commands": [trial_document(t) for t in trials]})
    else:
        for trial in trials:
            print_trial(trial)
        out.print(f"{len(trials) - len(refused)} of {len(trials)} commands are ready; nothing was changed.")
    return EXIT_REFUSED if refused else EXIT_DONE


async def _try(settings: "Settings", compiled: "Runbook", emergency: "Emergency") -> "list[Trial]":
    from tocsin.app import build_catalogue
    from tocsin.platform import open_platform
    from tocsin.respond.trial import NoOutbox, try_procedure

    async with open_platform(settings, NoOutbox()) as chain:
        catalogue = build_catalogue(settings, chain)
        return await try_procedure(catalogue, compiled, emergency, settings.variables, settings.network.magic)


def _configured(options: Options) -> Path:
    """The configured runbook; without a configuration the one that ships with Tocsin."""
    try:
        return options.settings().runbook
    except ConfigurationInvalid as error:
        if error.code == "no-configuration" and options.config is None and DEFAULT_RUNBOOK.is_file():
            return DEFAULT_RUNBOOK
        raise


def find_emergency(compiled: "Runbook", name: str) -> "Emergency":
    """The emergency of this name.

    Raises:
        Refused: the runbook has none.
    """
    found = compiled.emergency(name)
    if found is None:
        raise Refused(
            "emergency-unknown",
            f"{compiled.file} has no emergency {name!r}",
            next_step=f"it has {', '.join(e.slug for e in compiled.emergencies)}",
        )
    return found

"""`tocsin pause`: stops everything or one app, now, without server and database; and makes and sends offline bundles.

What is going to happen is said before it happens, but nobody is asked: it is an emergency. Imports are few and late,
because the time until the transaction is accepted begins with the start of this process.
"""

import asyncio
import getpass
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import ActingOptions
from tocsin.cli.output import EXIT_DID_NOT_HOLD, EXIT_DONE, EXIT_UNCONFIRMED, print_json
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.canonical import Json
from tocsin.domain.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from tocsin.connect.outbox_file import FileOutbox
    from tocsin.respond.breakglass import PauseOutcome
    from tocsin.settings import Settings

BUNDLE_REASON = "break glass: offline bundle"
REASON_BYTES_MAX = 256
"""What a reason may have on the chain; longer ones are refused here instead of there."""
_WINDOWS_MAX = 30


@dataclass(frozen=True)
class _Wish:
    """The command line, understood."""

    options: ActingOptions
    settings: "Settings"
    target: PauseTarget
    reason: str
    by: str
    state: Path | None

    def tell(self, sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def pause(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    app: str | None = None,
    reason: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    force: Annotated[bool, Parameter(negative=())] = False,
    offline_bundle: Path | None = None,
    windows: int = 1,
    send: Path | None = None,
    state: Path | None = None,
    options: ActingOptions | None = None,
) -> int:
    """Break glass: pause everything or one app now. Needs no server and no database: a key and a node that answers do.

    It says what it does and asks nobody. Exit codes: 0 paused (or paused already), 1 it ran and does not hold, 2 usage,
    3 refused and nothing sent, 4 nobody said whether the transaction was taken, 5 sent, unconfirmed: no quorum of nodes
    has said yet what it did.

    Parameters
    ----------
    all_
        Pause everything.
    app
        Pause this app only.
    reason
        Why. It is written to the chain where the contract takes it, and to the timeline.
    dry_run
        Try it and send nothing.
    force
        Send it even though its test invocation FAULTs.
    offline_bundle
        Write signed pauses of everything and of each app to this new file, and send nothing. Whoever holds
        the file can pause until it expires.
    windows
        For a bundle: how many windows of validity one after the other, each as long as the chain allows.
    send
        Send the pause of the target from a bundle. Needs no key.
    state
        Where the outbox file is kept (default: the state folder of the configuration).
    """
    options = options or ActingOptions()
    target = _target(all_=all_, app=app, bundle=offline_bundle is not None or send is not None)
    _check_mode(offline_bundle, send, reason, force=force, dry_run=dry_run, windows=windows)
    settings = options.settings()
    by = options.as_ or settings.principal or getpass.getuser()
    wish = _Wish(options, settings, target, reason or (BUNDLE_REASON if offline_bundle else ""), by, state)
    if offline_bundle is not None:
        return asyncio.run(_make_bundle(wish, offline_bundle, windows))
    return asyncio.run(_pause(wish, send, dry_run=dry_run, force=force))


def _target(*, all_: bool, app: str | None, bundle: bool) -> PauseTarget:
    if all_ and app is not None:
        raise _usage("--all and --app exclude each other")
    if not (all_ or app is not None or bundle):
        raise _usage("it is not said what to pause: --all, or --app ID")
    return PauseTarget(app)


def _check_mode(
    offline_bundle: Path | None, send: Path | None, reason: str | None, *, force: bool, dry_run: bool, windows: int
) -> None:
    if offline_bundle is not None and (send is not None or dry_run or force):
        raise _usage("--offline-bundle sends nothing: leave --send, --dry-run and --force away")
    if not 1 <= windows <= _WINDOWS_MAX:
        raise _usage(f"--windows is a number from 1 to {_WINDOWS_MAX}")
    if windows != 1 and offline_bundle is None:
        raise _usage("--windows belongs to --offline-bundle")
    if send is not None and (reason is not None or force):
        raise _usage("what --send sends is signed already, with its reason: leave --reason and --force away")
    if send is None and offline_bundle is None and not (reason or "").strip():
        raise _usage('say why, with --reason "…"; it will stand on the chain and on the timeline')
    if len((reason or "").encode()) > REASON_BYTES_MAX:
        raise _usage(f"the reason is longer than {REASON_BYTES_MAX} bytes")


def _usage(message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid("usage", message, next_step="see `tocsin pause --help`")


async def _pause(wish: _Wish, send: Path | None, *, dry_run: bool, force: bool) -> int:
    from tocsin.platform import open_break_glass

    run = secrets.token_hex(8)
    outbox = await _outbox(wish, run, reading=dry_run)
    async with open_break_glass(wish.settings, outbox, run=run, tell=wish.tell, with_key=send is None) as glass:
        if send is None:
            outcome = await glass.pause(wish.target, wish.reason, dry_run=dry_run, force=force)
        else:
            from tocsin.connect.bundle_file import read_bundle
            from tocsin.respond.pause_bundles import send_bundle

            bundle = await asyncio.to_thread(read_bundle, send)
            network = wish.settings.network.magic
            outcome = await send_bundle(glass, bundle, wish.target, network=network, dry_run=dry_run)
    for sentence in await outbox.damage():
        wish.tell(f"In the outbox {outbox.path}, {sentence}; it was passed over.")
    steps = _next_steps(wish, outcome)
    if wish.options.json:
        print_json({**outcome.as_json(), "by": wish.by, "outbox": str(outbox.path), "next": list(steps)})
    else:
        _print(outcome, outbox, steps)
    return _exit_code(outcome)


async def _outbox(wish: _Wish, run: str, *, reading: bool) -> "FileOutbox":
    """The outbox; where nothing will be sent it is only read, and not made."""
    from tocsin.connect.outbox_file import OUTBOX_FILE, FileOutbox, open_outbox, outbox_folders

    about: Mapping[str, Json] = {"run": run, "by": wish.by, "reason": wish.reason, "target": str(wish.target)}
    folders = outbox_folders(wish.settings.state) if wish.state is None else (wish.state.absolute(),)
    if reading:
        return FileOutbox(folders[0] / OUTBOX_FILE)
    outbox = await open_outbox(folders, about)
    if outbox.path.parent != folders[0]:
        wish.tell(f"{folders[0]} can't be used; what is sent is kept in {outbox.path}")
    return outbox


async def _make_bundle(wish: _Wish, path: Path, windows: int) -> int:
    from tocsin.connect.bundle_file import write_bundle
    from tocsin.platform import open_break_glass
    from tocsin.respond.pause_bundles import make_bundle

    outbox = await _outbox(wish, run="", reading=True)
    async with open_break_glass(wish.settings, outbox, run="", tell=wish.tell) as glass:
        bundle = await make_bundle(
            glass,
            network=wish.settings.network.magic,
            platform=wish.settings.name,
            by=wish.by,
            reason=wish.reason,
            windows=windows,
        )
    await asyncio.to_thread(write_bundle, path, bundle)
    until = bundle.valid_until_block
    about = f"{bundle.about_when(until):%Y-%m-%d %H:%M} UTC"
    if wish.options.json:
        targets: list[Json] = list(dict.fromkeys(str(pause.target) for pause in bundle.pauses))
        print_json(
            {
                "file": str(path),
                "targets": targets,
                "transactions": len(bundle.pauses),
                "valid_until_block": until,
                "valid_until_about": bundle.about_when(until).isoformat(),
            }
        )
        return EXIT_DONE
    from tocsin.cli.output import out

    for pause in bundle.pauses:
        window = f"blocks {pause.valid_from_block + 1} to {pause.valid_until_block}"
        out.print(f"  {pause.target}  {pause.tx}  {window}", markup=False)
    out.print(f"{path} holds {len(bundle.pauses)} signed transactions; nothing was sent.", markup=False)
    out.print(f"Whoever holds this file can pause until block {until} (about {about}).", markup=False)
    out.print(f"  next  keep it where only responders reach it; send with: tocsin pause --send {path}", markup=False)
    return EXIT_DONE


def _exit_code(outcome: "PauseOutcome") -> int:
    codes = {"unconfirmed": EXIT_UNCONFIRMED, "not-held": EXIT_DID_NOT_HOLD}
    return codes.get(outcome.ending, EXIT_DONE)


def _next_steps(wish: _Wish, outcome: "PauseOutcome") -> tuple[str, ...]:
    target = "--all" if outcome.target.app is None else f"--app {shlex.quote(outcome.target.app)}"
    match outcome.ending:
        case "paused" | "already-paused":
            resume = wish.options.copyable(f'tocsin resume {target} --reason "…"')
            return (
                "tell the team and the users; `tocsin serve` takes this into the timeline when it runs",
                f"to lift it, once it is safe (checklist, two people, the admin's signers): {resume}",
            )
        case "would-pause":
            return (f"to do it, leave --dry-run away: {wish.options.copyable(f'tocsin pause {target} …')}",)
        case "unconfirmed":
            return (
                "the same command again looks for it and sends the same bytes, never others",
                "look at the endpoints that are silent, or look the transaction up on another node",
            )
        case _:
            return ("it is not paused: read the reason above; run it again, or pause contract by contract",)


def _print(outcome: "PauseOutcome", outbox: "FileOutbox", steps: tuple[str, ...]) -> None:
    from tocsin.cli.output import out

    heading = {
        "paused": "[bold green]Paused[/]",
        "already-paused": "[bold green]Paused already[/]",
        "would-pause": "[bold]Nothing was sent[/]",
        "unconfirmed": "[bold yellow]Unconfirmed[/]",
        "not-held": "[bold red]It does not hold[/]",
    }[outcome.ending]
    out.print(f"{heading}: ", end="")
    out.print(outcome.summary, markup=False)
    if outcome.tx is not None:
        out.print(f"  tx      {outcome.tx}", markup=False)
    quorum = outcome.quorum
    if quorum is not None and outcome.ending != "unconfirmed":
        out.print(f"  quorum  {quorum.confirmed} of {quorum.of} providers, {quorum.needed} needed", markup=False)
    if outcome.effect_probe:
        out.print(f"  effect  {outcome.effect_probe}", markup=False)
    for doubt in outcome.doubts:
        out.print(f"  but     {doubt}", markup=False)
    if outcome.tx is not None:
        out.print(f"  outbox  {outbox.path}", markup=False)
    for step in steps:
        out.print(f"  next    {step}", markup=False)

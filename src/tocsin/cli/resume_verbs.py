"""`tocsin resume`: the checklist, two people, and then a transaction file for the admin's signers."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import ActingOptions
from tocsin.cli.output import EXIT_DONE, err, out, print_json
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.errors import ConfigurationInvalid, Refused

if TYPE_CHECKING:
    from tocsin.respond.resumption import Resumption
    from tocsin.settings import Settings


def resume(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    app: str | None = None,
    reason: str | None = None,
    confirm: Annotated[tuple[int, ...], Parameter(negative=())] = (),
    approve: Path | None = None,
    yes: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    options: ActingOptions | None = None,
) -> int:
    """Lift a pause: one person asks and confirms the recovery checklist, another approves, the admin's signers sign.

    The first person runs it with --all or --app and gets a request file. The second runs it with --approve on that file
    within a quarter of an hour, and gets the transaction file for `tocsin tx sign` and `tocsin tx send`.

    Parameters
    ----------
    all_
        Lift the pause of everything.
    app
        Lift the pause of this app.
    reason
        Why it is safe now.
    confirm
        An item of the runbook's Service Recovery Checklist that you confirm, by its number; once for each. On a
        terminal you are asked for those that you leave out.
    approve
        The request of another person, to approve it.
    yes
        Don't ask before approving.
    from_
        The admin's account, if the configuration has several (a name of [accounts]).
    output
        The file to write (default: resume-TARGET.json for the request, resume-TARGET-tx.json for the transaction).
    """
    options = options or ActingOptions()
    if approve is not None:
        if all_ or app is not None or reason is not None or confirm:
            raise _usage("--approve takes everything else from the request: leave the rest away")
        return _approve(options, approve, from_, output, yes=yes)
    if all_ == (app is not None):
        raise _usage("say what to resume: either --all, or --app ID")
    if not (reason or "").strip():
        raise _usage('say why it is safe now, with --reason "…"')
    return _ask(options, PauseTarget(app), reason or "", confirm, output)


def _usage(message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid("usage", message, next_step="see `tocsin resume --help`")


def _ask(
    options: ActingOptions, target: PauseTarget, reason: str, confirm: tuple[int, ...], output: Path | None
) -> int:
    from tocsin.resuming import ask

    settings = options.settings()
    person = options.principal(settings)
    confirmed = confirm + _asked_for(settings, confirm)
    file = output or Path(f"resume-{_file_name(target)}.json")
    request = asyncio.run(ask(settings, target, reason=reason, person=person, confirmed=confirmed, file=file))
    if options.json:
        print_json({"file": str(file), "plan": request.plan().hash, "approved_by": [person], "tx": None})
    else:
        out.print(f"{person} asks to {request.plan().summary}", markup=False)
        command = options.copyable(f"tocsin resume --approve {file} --as NAME")
        out.print(f"{file} is written. Next: another person runs {command}", markup=False)
    return EXIT_DONE


def _asked_for(settings: "Settings", confirmed: tuple[int, ...]) -> tuple[int, ...]:
    """The items that the person on the terminal confirms, one by one; without a terminal nobody is asked."""
    from tocsin.resuming import runbook_of

    if not sys.stdin.isatty():
        return ()
    said: list[int] = []
    for number, item in enumerate(runbook_of(settings).recovery_checklist, 1):
        if number not in confirmed and _is_yes(f"{number}. {item.text}? "):
            said.append(number)
    return tuple(said)


def _approve(options: ActingOptions, file: Path, account: str | None, output: Path | None, *, yes: bool) -> int:
    from tocsin.resuming import approve, read_request

    settings = options.settings()
    person = options.principal(settings)
    request = read_request(file)
    _show(request)
    if not yes:
        if not sys.stdin.isatty():
            raise Refused(
                "not-confirmed",
                "nobody can be asked here, so nothing is approved",
                next_step="read the request above, then approve on a terminal or with --yes",
            )
        if not _is_yes(f"Approve this as {person}? "):
            raise Refused("not-confirmed", "it was not confirmed, so nothing is approved", next_step="ask its author")
    transaction = output or Path(f"resume-{_file_name(request.target)}-tx.json")
    approved, tx = asyncio.run(
        approve(settings, file, request, person=person, account=account, transaction=transaction)
    )
    people = [approval.principal for approval in approved.approvals]
    if options.json:
        print_json({"file": str(transaction), "plan": approved.plan().hash, "approved_by": people, "tx": tx})
    else:
        out.print(f"Approved by {' and '.join(people)}. {transaction} is written.", markup=False)
        command = options.copyable(f"tocsin tx sign {transaction}")
        out.print(f"Next: the admin's signers run {command} --as NAME, then `tocsin tx send`", markup=False)
    return EXIT_DONE


def _show(request: "Resumption") -> None:
    err.print(f"{request.asked_by} asks to {request.plan().summary}", markup=False)
    for number, item in enumerate(request.checklist, 1):
        err.print(f"  {number}. {item}: confirmed", markup=False)


def _is_yes(question: str) -> bool:
    err.print(f"{question}Type yes: ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("yes", "y")


def _file_name(target: PauseTarget) -> str:
    text = target.app or "all"
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text)

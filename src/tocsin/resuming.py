"""Wires `tocsin resume`: the request's file, people's keys, the checklist of the runbook, and the admin's transaction.

Part of what `app` does, by itself because it needs no store. The rules stand in `respond.resumption`; the transaction
for the admin's signers is made as `tocsin tx propose` makes it.
"""

import asyncio
import os
import secrets
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tocsin.actions.calls import CallSpec, match_manifest
from tocsin.connect.neo.signing import sign_message, verify_message
from tocsin.connect.neo.wallets import open_key
from tocsin.connect.ports import ChainReader
from tocsin.cosigning import account_given, open_proposals, save
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.clock import Clock, SystemClock
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.platform import call_template, key_source, pause_ways
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.respond.resumption import Resumption, confirmed_checklist, must_match
from tocsin.runbook.model import Runbook
from tocsin.runbook.source import read_runbook
from tocsin.settings import Settings

FORMAT = "tocsin resume request 1"
FILE_BYTES_MAX = 1 << 20
VALID_FOR = timedelta(hours=4)
"""How long the admin's signers have."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: Literal["tocsin resume request 1"]
    request: Resumption


_FILE = TypeAdapter(_File)


def runbook_of(settings: Settings) -> Runbook:
    """The configured runbook, whose checklist must be gone through.

    Raises:
        ConfigurationInvalid: it can't be read or compiled.
        Refused: it has no recovery checklist.
    """
    runbook = read_runbook(settings.runbook)
    if not runbook.recovery_checklist:
        raise Refused(
            "no-checklist",
            f"{runbook.file} has no Service Recovery Checklist, so nobody can say that it is safe to resume",
            next_step="add one to the runbook",
        )
    return runbook


async def ask(
    settings: Settings, target: PauseTarget, *, reason: str, person: str, confirmed: Collection[int], file: Path
) -> Resumption:
    """Writes a request with the first person's approval to a new file.

    Raises:
        ConfigurationInvalid, Refused, Unavailable: it can't be asked for; nothing is written.
    """
    clock = SystemClock()
    runbook = runbook_of(settings)
    checklist = confirmed_checklist(runbook, confirmed)
    async with open_proposals(settings, clock) as proposals:
        call = await _resume_call(settings, proposals.reader, target)
    network = settings.network.magic
    request = Resumption(target, str(call), reason, person, clock.now(), checklist, runbook.hash, network)
    request = request.approved(_principals(settings), person, await _signer(settings, person), clock.now())
    _write(file, request, replace=False)
    return request


def read_request(file: Path) -> Resumption:
    """The request in a file.

    Raises:
        Refused: there is none.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(f"it has more than {FILE_BYTES_MAX} bytes")
        return _FILE.validate_json(content).request
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, ValidationError):
            why = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise Refused(
            "request-unreadable",
            f"{file} is no request to resume: {why}",
            next_step="name the file that `tocsin resume` wrote",
        ) from error


async def approve(
    settings: Settings,
    file: Path,
    request: Resumption,
    *,
    person: str,
    account: str | None,
    transaction: Path,
    clock: Clock | None = None,
) -> tuple[Resumption, str]:
    """Adds a person's approval to the request; with the second one writes the transaction for the admin's signers.

    Returns: the request, and the hash of the transaction.

    Raises:
        ConfigurationInvalid, Refused, Unavailable: it can't be approved or proposed; no transaction is written.
    """
    clock = clock or SystemClock()
    runbook = runbook_of(settings)
    principals = _principals(settings)
    async with open_proposals(settings, clock) as proposals:
        call = await _resume_call(settings, proposals.reader, request.target)
        checklist = [item.text for item in runbook.recovery_checklist]
        network = settings.network.magic
        must_match(request, call=str(call), checklist=checklist, runbook_hash=runbook.hash, network=network)
        approved = request.approved(principals, person, await _signer(settings, person), clock.now())
        consenting = approved.consenting(principals, clock.now())
        if len(consenting) < approved.plan().approvals_needed:
            raise Refused(
                "approval-expired",
                f"of the approvals of this request only that of {', '.join(consenting)} is valid now",
                next_step="ask anew with `tocsin resume`; both approve within a quarter of an hour",
            )
        partly = await proposals.draft(call.invocation(), account_given(settings, _admin(settings, account)), VALID_FOR)
        save(partly, transaction, replace=False)
    _write(file, approved, replace=True)
    return approved, partly.payload.tx


async def _resume_call(settings: Settings, reader: ChainReader, target: PauseTarget) -> CallSpec:
    binding = pause_ways(settings).binding(target)
    resume = next(pause.resume for pause in settings.pause if pause.name == binding.name)
    if resume is None:
        raise ConfigurationInvalid(
            "no-resume-call",
            f"the [[pause]] entry {binding.name!r} does not say how it is lifted",
            next_step="add `resume` with the call to it",
        )
    template = call_template(settings, resume)
    values = {} if target.app is None else {"app_id": target.app}
    try:
        texts = template.filled(values)
    except KeyError as error:
        raise ConfigurationInvalid(
            "resume-call-unfilled",
            f"`resume` of the [[pause]] entry {binding.name!r} wants a value for {{{error.args[0]}}}",
            next_step="write it without names, or with {app_id} for one app",
        ) from error
    return match_manifest(await reader.manifest(template.contract), template.method, texts)


def _admin(settings: Settings, given: str | None) -> str:
    if given is not None:
        return given
    admins = [name for name, account in settings.accounts.items() if account.purpose == "admin"]
    if len(admins) != 1:
        raise ConfigurationInvalid(
            "admin-unclear",
            f"the configuration has {len(admins)} accounts for the purpose admin",
            next_step="name the one that may resume with --from NAME",
        )
    return admins[0]


def _principals(settings: Settings) -> Principals:
    people = [
        Principal(name, PrincipalKind.PERSON, person.name, person.public_key)
        for name, person in settings.people.items()
    ]
    return Principals(people, verify_message)


async def _signer(settings: Settings, person: str) -> SignMessage:
    enrolled = settings.people.get(person)
    if enrolled is None or enrolled.key is None:
        raise ConfigurationInvalid(
            "no-key-of-person",
            f"the configuration names no wallet for {person}, so nothing can be signed as them here",
            next_step=f"add people.{person}.key with a wallet and where its password is",
        )
    key = await asyncio.to_thread(open_key, key_source(f"approvals of {person}", enrolled.key))
    return lambda message: sign_message(key, message)


def _write(file: Path, request: Resumption, *, replace: bool) -> None:
    text = _FILE.dump_json(_File(format=FORMAT, request=request), indent=1) + b"\n"
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(text)
        try:
            if replace:
                draft.replace(file)
            else:
                os.link(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError as error:
        raise Refused("file-exists", f"{file} is there already", next_step="name another file") from error
    except OSError as error:
        raise Refused(
            "file-not-writable", f"{file} can't be written: {error.strerror}", next_step="name another file"
        ) from error

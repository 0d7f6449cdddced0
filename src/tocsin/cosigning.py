"""Wires what transactions of several signers need: accounts, names and keys of the configuration, files, the network.

Part of what `app` does, by itself because signing must work on a machine that has a configuration and a key and nothing
else: no store is opened here, and the network is asked only where it can be.
"""

import asyncio
import base64
import binascii
import difflib
import json
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.actions.calls import CallSpec, match_manifest
from tocsin.connect.neo.describe import Description, Names, describe
from tocsin.connect.neo.exchange import FILE_BYTES_MAX, PartlySigned, read_exchange
from tocsin.connect.neo.multisig import Verification, multisig_of, verification_of
from tocsin.connect.neo.wallets import Key, open_key
from tocsin.connect.ports import ChainReader
from tocsin.domain.clock import Clock, SystemClock
from tocsin.domain.errors import ConfigurationInvalid, Refused, Unavailable
from tocsin.domain.hashes import script_hash
from tocsin.platform import NATIVE_CONTRACTS, contract_named, key_source, network_config
from tocsin.settings import AccountSettings, Settings

if TYPE_CHECKING:
    from tocsin.connect.neo.proposals import Proposals

DEFAULT_PURPOSE = "admin"
"""What an account is for that the configuration does not know."""


@asynccontextmanager
async def open_proposals(settings: Settings, clock: Clock | None = None) -> AsyncGenerator["Proposals"]:
    """Connects to the network of the configuration. Nothing is asked of it yet."""
    from tocsin.connect.neo import proposals

    async with proposals.open_proposals(network_config(settings), clock or SystemClock()) as opened:
        yield opened


def account_given(settings: Settings, text: str) -> Verification:
    """The account that the configuration calls so, or whose verification script (hexadecimal or base64) this is.

    Raises:
        ConfigurationInvalid: it is neither.
    """
    if text in settings.accounts:
        return _verification(settings.accounts[text])
    try:
        return verification_of(_script(text))
    except (ValueError, Refused) as error:
        close = difflib.get_close_matches(text, settings.accounts, n=1, cutoff=0.5)
        known = ", ".join(sorted(settings.accounts)) or "none"
        raise ConfigurationInvalid(
            "account-unknown",
            f"{text[:80]!r} is no account of the configuration (it has: {known}), and no verification script",
            next_step=f"did you mean {close[0]}?" if close else "add [accounts.NAME] with m and public_keys",
        ) from error


def account_of_keys(m: int, public_keys: Sequence[str]) -> Verification:
    """The account of `m` of these keys (compressed, hexadecimal).

    Raises:
        ConfigurationInvalid: it can't be an account.
    """
    try:
        keys = [bytes.fromhex(key) for key in public_keys]
    except ValueError as error:
        raise ConfigurationInvalid(
            "no-public-key",
            f"a public key is not hexadecimal: {error}",
            next_step="copy the compressed key again: 66 hexadecimal digits",
        ) from error
    return multisig_of(m, keys)


def names_of(settings: Settings) -> Names:
    """What the configuration calls contracts, accounts and keys."""
    contracts = {hash_: name for name, hash_ in NATIVE_CONTRACTS.items()}
    contracts |= {script_hash(contract.hash): name for name, contract in settings.contracts.items()}
    accounts = {_verification(account).account: name for name, account in settings.accounts.items()}
    return Names(contracts, accounts, {person.public_key: name for name, person in settings.people.items()})


async def call_given(
    settings: Settings, reader: ChainReader, contract: str, method: str, arguments: Sequence[str]
) -> CallSpec:
    """A call as it was typed, checked against the contract's manifest.

    Raises:
        ConfigurationInvalid: the contract is neither known by this name nor a hash.
        Refused: the contract is not there, or does not offer this.
    """
    try:
        hash_ = contract_named(settings, contract)
    except ValueError as error:
        names = [*settings.contracts, *NATIVE_CONTRACTS]
        close = difflib.get_close_matches(contract, names, n=1, cutoff=0.5)
        raise ConfigurationInvalid(
            "contract-unnamed",
            f"{contract!r} is neither a contract of the configuration nor a hash",
            next_step=f"did you mean {close[0]}?" if close else f"it knows {', '.join(sorted(names))}",
        ) from error
    return match_manifest(await reader.manifest(hash_), method, arguments)


async def key_for_purpose(settings: Settings, purpose: str, partly: PartlySigned) -> Key:
    """The key of [keys] for this purpose, if that is what the transaction's accounts are for.

    Raises:
        Refused: it is for something else, there is none, or its wallet can't be opened.
    """
    purposes = {_verification(a).account: a.purpose for a in settings.accounts.values()}
    wanted = {purposes.get(signer.account, DEFAULT_PURPOSE) for signer in partly.payload.signers}
    if purpose not in wanted:
        raise Refused(
            "key-of-another-purpose",
            f"the {purpose} key signs for that only, and this transaction needs one for {' or '.join(sorted(wanted))}",
            next_step="sign as a member: --as PERSON, or with the key for that purpose",
        )
    found = next((wallet for name, wallet in settings.keys.items() if name == purpose), None)
    if found is None:
        raise Refused(
            "key-missing",
            f"no key is configured for {purpose!r} (configured: {', '.join(sorted(settings.keys)) or 'none'})",
            next_step=f"add [keys.{purpose}] on the machine that holds it, or sign as a person with --as",
        )
    return await asyncio.to_thread(open_key, key_source(purpose, found))


async def key_of_person(settings: Settings, person: str, partly: PartlySigned) -> Key:
    """The person's own key, if it may sign this transaction.

    Raises:
        ConfigurationInvalid: the configuration does not know them, or names no wallet for them on this machine.
        Refused: their key is no member's or has signed, or their wallet can't be opened or holds another key.
    """
    enrolled = settings.people.get(person)
    if enrolled is None:
        close = difflib.get_close_matches(person, settings.people, n=1, cutoff=0.5)
        raise ConfigurationInvalid(
            "person-unknown",
            f"the configuration knows nobody called {person!r}",
            next_step=f"did you mean {close[0]}?" if close else f"it knows {', '.join(sorted(settings.people))}",
        )
    partly.may_sign(bytes.fromhex(enrolled.public_key))
    if enrolled.key is None:
        raise ConfigurationInvalid(
            "no-key-of-person",
            f"the configuration names no wallet for {person}, so nothing can be signed as them here",
            next_step=f"add people.{person}.key with a wallet and where its password is",
        )
    key = await asyncio.to_thread(open_key, key_source(f"signatures of {person}", enrolled.key))
    if key.public_key.hex() != enrolled.public_key:
        raise Refused(
            "key-mismatch",
            f"the wallet of {person} holds another key than the one they are enrolled with",
            next_step=f"mend people.{person}: public_key and key.wallet must belong together",
        )
    return key


@dataclass(frozen=True, slots=True)
class Standing:
    """A transaction in words, and how it stands on the chain now, as far as the chain could be asked.

    `expires` is about when the last block comes that may hold it; `expired` the refusal, where that block is past.
    """

    description: Description
    expires: datetime | None = None
    expired: Refused | None = None


async def standing_of(settings: Settings, partly: PartlySigned, proposals: "Proposals") -> Standing:
    """The transaction in words, with what a try now comes to among its warnings. Never raises for the network."""
    names, fees = names_of(settings), network_config(settings).fees
    expires, expired, tried = None, None, list[str]()
    try:
        expires = (await proposals.expiry(partly.payload.valid_until_block)).at
        await proposals.rehearse(partly)
    except Refused as refused:
        expired = refused if expires is None else None
        tried.append(f"{'EXPIRED' if expired else 'tried now'}: {refused.message}")
    except Unavailable as unavailable:
        if expires is None:
            # Nobody answers, so that it would only take time to ask for each manifest too.
            return Standing(await describe(partly, names, None, fees))
        tried.append(f"it could not be tried now: {unavailable.message}")
    description = await describe(partly, names, proposals.reader, fees)
    return Standing(replace(description, warnings=(*tried, *description.warnings)), expires, expired)


def load(settings: Settings, files: Sequence[Path]) -> PartlySigned:
    """The transaction of the files, with the signatures of all of them.

    Raises:
        ConfigurationInvalid: a file can't be read.
        Refused: a file does not hold together, is of another network, or holds another transaction.
    """
    known = [_verification(account) for account in settings.accounts.values()]
    read = [read_exchange(_content(file), settings.network.magic) for file in files]
    partly = read[0]
    for other in read[1:]:
        partly = partly.combined(other)
    return partly.knowing(known)


def save(partly: PartlySigned, file: Path, *, replace: bool) -> None:
    """Writes the file, whole or not at all.

    Raises:
        Refused: it is there already and must not be replaced, or can't be written.
    """
    text = json.dumps(partly.as_json(), indent=2) + "\n"
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            if replace:
                draft.replace(file)
            else:
                os.link(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError as error:
        raise Refused("file-exists", f"{file} is there already", next_step="name another file with -o") from error
    except OSError as error:
        raise Refused(
            "file-not-writable", f"{file} can't be written: {error.strerror}", next_step="name another file with -o"
        ) from error


def _verification(account: AccountSettings) -> Verification:
    return account_of_keys(account.m, account.public_keys)


def _script(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("neither hexadecimal nor base64") from error


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationInvalid(
            "file-unreadable",
            f"{file} can't be read: {error.strerror}",
            next_step="name the file that `tocsin tx propose` or `neo-go … --out` wrote",
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise Refused(
            "not-a-transaction-file",
            f"{file} has more than {FILE_BYTES_MAX} bytes",
            next_step="name the file that `tocsin tx propose` or `neo-go … --out` wrote",
        )
    return content

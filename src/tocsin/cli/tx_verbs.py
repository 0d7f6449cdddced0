"""Transactions that several people sign: propose, show, sign, send. The file that goes round is neo-go's JSON.

Every verb reads the transaction from its bytes and shows it in words first; what may be signed and sent is decided in
`cosigning` and `connect/neo`.
"""

import asyncio
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from tocsin.cli.options import Options
from tocsin.cli.output import err, out, print_json
from tocsin.cli.tx_views import print_description
from tocsin.domain.canonical import Json
from tocsin.domain.errors import ConfigurationInvalid, Refused

if TYPE_CHECKING:
    from tocsin.connect.neo.exchange import PartlySigned
    from tocsin.connect.neo.multisig import Verification
    from tocsin.connect.neo.wallets import Key
    from tocsin.cosigning import Standing
    from tocsin.settings import Settings

tx = App(name="tx", help="Propose, show, sign and send a transaction that several people must sign.")

type File = Annotated[Path | None, Parameter(name=["--output", "-o"])]
type Yes = Annotated[bool, Parameter(name="--yes", negative=(), show_default=False)]


@tx.command
def propose(
    contract: str,
    method: str,
    *arguments: str,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    m: int | None = None,
    public_key: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    output: File = None,
    valid_for: float = 4.0,
    options: Options | None = None,
) -> None:
    """Propose a call by an account with several keys: tried first, then written to a file for its members to sign.

    Parameters
    ----------
    contract
        The contract: its name in the configuration, gas, neo, or its hash.
    method
        The method to call.
    arguments
        Its arguments. Write -- before the first one that begins with a minus sign.
    from_
        The account: its name in [accounts] of the configuration, or its verification script (hexadecimal, base64).
    m
        Instead of --from: how many of the keys given by --public-key must sign.
    public_key
        A member's public key (compressed, hexadecimal); once for each member.
    output
        The file to write (default: tx-HASH.json in this folder). An existing one is never overwritten.
    valid_for
        For how many hours it can be signed and sent, as far as the network allows.
    """
    options = options or Options()
    settings = options.settings()
    if not 0 < valid_for <= 24 * 365:
        raise ConfigurationInvalid(
            "usage", f"--valid-for {valid_for:g} is no time", next_step="give a number of hours above 0, such as 4"
        )
    account = _account(settings, from_, m, public_key)

    async def main() -> None:
        from tocsin.cosigning import call_given, open_proposals, save, standing_of

        async with open_proposals(settings) as proposals:
            spec = await call_given(settings, proposals.reader, contract, method, arguments)
            partly = await proposals.draft(spec.invocation(), account, timedelta(hours=valid_for))
            file = output or Path(f"tx-{partly.payload.tx[2:12]}.json")
            standing = await standing_of(settings, partly, proposals)
            save(partly, file, replace=False)
        _tell(options, standing, {"file": str(file)})
        if not options.json:
            _next(options, f"tocsin tx sign {file}", f"{file} is written.")

    asyncio.run(main())


@tx.command
def show(file: Path, *more: Path, options: Options | None = None) -> None:
    """Show a partly signed transaction in words, and who has signed it.

    Parameters
    ----------
    file
        The file that went round.
    more
        Further files of the same transaction; their signatures are put together.
    """
    options = options or Options()
    settings = options.settings()

    async def main() -> None:
        from tocsin.cosigning import load, open_proposals, standing_of

        partly = load(settings, (file, *more))
        async with open_proposals(settings) as proposals:
            standing = await standing_of(settings, partly, proposals)
        _tell(options, standing, {})

    asyncio.run(main())


@tx.command
def sign(
    file: Path,
    *more: Path,
    key: str | None = None,
    as_: Annotated[str | None, Parameter(name="--as")] = None,
    output: File = None,
    yes: Yes = False,
    options: Options | None = None,
) -> None:
    """Sign a transaction: shows it in words, asks, and writes your signature into the file.

    Parameters
    ----------
    file
        The file that went round.
    more
        Further files of the same transaction; their signatures are put together.
    key
        Sign with the key for this purpose ([keys.NAME] of the configuration).
    as_
        Sign as this person, with their own key ([people.NAME]).
    output
        Another file to write, which must not be there yet (default: the first file is replaced).
    yes
        Don't ask. Without it, and without a terminal, nothing is signed.
    """
    from tocsin.cosigning import load, open_proposals, save, standing_of

    options = options or Options()
    settings = options.settings()
    if (key is None) == (as_ is None):
        raise ConfigurationInvalid(
            "usage", "it is not said who signs", next_step="give either --key NAME or --as PERSON"
        )

    async def prepare() -> tuple["PartlySigned", "Key"]:
        partly = load(settings, (file, *more))
        async with open_proposals(settings) as proposals:
            standing = await standing_of(settings, partly, proposals)
        print_description(err if options.json else out, standing.description, standing.expires)
        if standing.expired is not None:
            raise standing.expired
        opened = await _key(settings, partly, key, as_)
        partly.may_sign(opened.public_key)
        return partly, opened

    partly, signer = asyncio.run(prepare())
    if not yes:
        # Outside of the event loop, where Ctrl-C ends the question.
        _confirm(as_ or f"the {key} key")
    signed = partly.signed(signer)
    save(signed, output or file, replace=output is None)
    missing = sum(each.missing for each in signed.signatures.values())
    if options.json:
        print_json(
            {
                "file": str(output or file),
                "tx": signed.payload.tx,
                "signed_by": signer.public_key.hex(),
                "missing": missing,
                "complete": signed.complete,
            }
        )
    else:
        verb = "send" if signed.complete else "sign"
        said = "Signed; it is complete." if signed.complete else f"Signed; {missing} more must sign."
        _next(options, f"tocsin tx {verb} {output or file}", said)


@tx.command
def send(file: Path, *more: Path, options: Options | None = None) -> None:
    """Send a completely signed transaction, once, and wait until a quorum of nodes confirms what it did.

    Parameters
    ----------
    file
        The file that went round.
    more
        Further files of the same transaction; their signatures are put together.
    """
    options = options or Options()
    settings = options.settings()

    async def main() -> None:
        from tocsin.cosigning import load, open_proposals, standing_of
        from tocsin.domain.clock import SystemClock
        from tocsin.store.store import open_store

        partly = load(settings, (file, *more))
        partly.complete_bytes()
        clock = SystemClock()
        async with open_proposals(settings, clock) as proposals, open_store(settings.state, clock) as store:
            if not options.json:
                standing = await standing_of(settings, partly, proposals)
                print_description(out, standing.description, standing.expires)
            included = await proposals.send(partly, store.outbox)
        quorum = included.quorum
        if options.json:
            print_json(
                {
                    "tx": included.tx,
                    "height": included.height,
                    "halted": included.execution.halted,
                    "gas_consumed": str(included.execution.gas_consumed),
                    "quorum": {"needed": quorum.needed, "confirmed": quorum.confirmed, "of": quorum.of},
                }
            )
        else:
            out.print(
                f"Done: it HALTed in block {included.height}, confirmed by {quorum.confirmed} of {quorum.of} providers "
                f"({quorum.needed} needed).",
                markup=False,
            )

    asyncio.run(main())


def _account(settings: "Settings", name: str | None, m: int | None, public_keys: tuple[str, ...]) -> "Verification":
    from tocsin.cosigning import account_given, account_of_keys

    if name is not None and m is None and not public_keys:
        return account_given(settings, name)
    if name is None and m is not None and public_keys:
        return account_of_keys(m, public_keys)
    raise ConfigurationInvalid(
        "usage",
        "say from which account: either --from NAME, or --m NUMBER with a --public-key for each member",
        next_step="see `tocsin tx propose --help`",
    )


async def _key(settings: "Settings", partly: "PartlySigned", purpose: str | None, person: str | None) -> "Key":
    from tocsin.cosigning import key_for_purpose, key_of_person

    if purpose is not None:
        return await key_for_purpose(settings, purpose, partly)
    assert person is not None, "one of the two was given"
    return await key_of_person(settings, person, partly)


def _confirm(who: str) -> None:
    if not sys.stdin.isatty():
        raise Refused(
            "not-confirmed",
            "nobody can be asked here, so nothing is signed",
            next_step="read the transaction above, then sign on a terminal or with --yes",
        )
    err.print(f"Sign this as {who}? Type yes to sign: ", end="", markup=False)
    if sys.stdin.readline().strip().lower() not in ("yes", "y"):
        raise Refused(
            "not-confirmed",
            "it was not confirmed, so nothing is signed",
            next_step="ask whoever proposed it if something looks wrong",
        )


def _tell(options: Options, standing: "Standing", more: Mapping[str, Json]) -> None:
    if options.json:
        about = None if standing.expires is None else standing.expires.isoformat()
        print_json({**more, **standing.description.as_json(), "expires_about": about})
    else:
        print_description(out, standing.description, standing.expires)


def _next(options: Options, command: str, said: str) -> None:
    out.print(f"{said} Next: {options.copyable(command)}", markup=False)

"""What `tocsin tx` prints: a transaction in words, with what a person must not overlook above everything else."""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from tocsin.cli.output import moment

if TYPE_CHECKING:
    from tocsin.connect.neo.describe import CallWords, Description, SignerWords

SCRIPT_SHOWN_MAX = 2_000
"""How many hexadecimal digits of a script that can't be said in words are printed."""


def print_description(console: Console, description: "Description", expires: datetime | None) -> None:
    """The transaction in words. `expires` is about when its last block comes, where that is known."""

    def line(text: str) -> None:
        console.print(text, markup=False)

    for warning in description.warnings:
        console.print("[bold red]  !! [/]", end="")
        line(warning)
    line(f"Transaction {description.tx} on network {description.magic} (the configured one)")
    if description.calls is None:
        script = description.script.hex()
        more = f"… ({len(description.script)} bytes)" if len(script) > SCRIPT_SHOWN_MAX else ""
        line(f"  script    {script[:SCRIPT_SHOWN_MAX]}{more}")
    for call in description.calls or ():
        _print_call(console, call)
    for signer in description.signers:
        _print_signer(console, signer)
    total = description.system_fee + description.network_fee
    line(f"  fees      {total} GAS (system {description.system_fee}, network {description.network_fee})")
    about = "" if expires is None else f", about {moment(expires)}"
    line(f"  valid     until block {description.valid_until_block}{about}")
    for attribute in description.attributes:
        line(f"  attribute {attribute}")
    line(f"  complete  {'yes, it can be sent' if description.complete else 'no, signatures are missing'}")


def _print_call(console: Console, call: "CallWords") -> None:
    name = call.configured or call.calls_itself or call.contract
    console.print(
        f"  calls     {name}.{call.method}({', '.join(argument.text for argument in call.arguments)})", markup=False
    )
    itself = "" if call.calls_itself is None else f", calls itself {call.calls_itself!r}"
    known = "" if call.configured else ", not in the configuration"
    console.print(f"            contract {call.contract}{itself}{known}", markup=False)
    for argument in call.arguments:
        kind = "" if argument.type is None else f" ({argument.type})"
        console.print(f"            {argument.name or 'argument'}{kind} = {argument.text}", markup=False)


def _print_signer(console: Console, signer: "SignerWords") -> None:
    console.print(f"  signer    {signer.name or signer.account} ({signer.account}, {signer.address})", markup=False)
    console.print(f"            scope {signer.scope}", markup=False)
    if signer.needed is None:
        console.print("            who signs for it is not known here", markup=False)
        return
    for key, name, signed in signer.members:
        console.print(
            f"            {'signed ' if signed else '  -    '}{key}{f' {name}' if name else ''}", markup=False
        )
    console.print(
        f"            {signer.needed} of {len(signer.members)} must sign, {signer.missing} missing", markup=False
    )

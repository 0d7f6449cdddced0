"""Contract calls as a runbook writes them: texts matched against the contract's manifest, and turned into arguments.

A call is kept as texts with types (`CallSpec`), so that it can be hashed, stored and shown as it was written; it
becomes an `Invocation` only at the moment it is tried or sent.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.connect.ports import Argument, Invocation, Manifest, ManifestMethod, ParameterType
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash, account_of, tx_hash

_INTEGER = re.compile(r"-?\d{1,78}", re.ASCII)
_INTEGER_BITS = 256


@dataclass(frozen=True, slots=True)
class TypedText:
    type: ParameterType
    text: str


@dataclass(frozen=True, slots=True)
class CallSpec:
    """A call with every argument as text and type, checked against a manifest, which also says what it `returns`."""

    contract: ScriptHash
    contract_name: str
    method: str
    arguments: tuple[TypedText, ...]
    returns: ParameterType

    def invocation(self) -> Invocation:
        """The call as the chain takes it."""
        return Invocation(self.contract, self.method, tuple(_argument(a.type, a.text) for a in self.arguments))

    def __str__(self) -> str:
        return f"{self.contract_name}.{self.method}({', '.join(a.text for a in self.arguments)})"


def match_manifest(manifest: Manifest, method: str, texts: Sequence[str]) -> CallSpec:
    """Finds the method with this name and number of arguments, and checks each argument against its type.

    Raises:
        Refused: no such method, no such number of arguments, or an argument that does not fit its type.
    """
    named = [m for m in manifest.methods if m.name == method]
    fitting = [m for m in named if len(m.parameters) == len(texts)]
    if not named:
        raise Refused(
            "method-not-found",
            f"contract {manifest.name} ({manifest.contract}) has no method {method}",
            next_step=_nearest(manifest, method),
            data={"contract": manifest.contract, "method": method},
        )
    if not fitting:
        offered = " or ".join(_signature(m) for m in named)
        raise Refused(
            "wrong-number-of-arguments",
            f"{manifest.name}.{method} does not take {len(texts)} argument(s): the contract offers {offered}",
            next_step=f"write the call as {offered}",
            data={"contract": manifest.contract, "method": method, "given": list(texts)},
        )
    chosen = fitting[0]
    typed: list[TypedText] = []
    for (name, wanted), text in zip(chosen.parameters, texts, strict=True):
        try:
            _argument(wanted, text)
        except ValueError as error:
            raise Refused(
                "wrong-argument",
                f"{manifest.name}.{method}: argument {name} must be {wanted}, and {text!r} is not: {error}",
                next_step=f"write the call as {_signature(chosen)}",
                data={"contract": manifest.contract, "method": method, "argument": name},
            ) from error
        typed.append(TypedText(wanted, text))
    return CallSpec(manifest.contract, manifest.name, method, tuple(typed), chosen.returns)


def _signature(method: ManifestMethod) -> str:
    return f"{method.name}({', '.join(f'{name}: {kind}' for name, kind in method.parameters)})"


def _nearest(manifest: Manifest, method: str) -> str:
    public = sorted({m.name for m in manifest.methods if not m.name.startswith("_")})
    close = difflib.get_close_matches(method, public, n=3, cutoff=0.5)
    shown = ", ".join(_signature(m) for name in (close or public[:8]) for m in manifest.methods if m.name == name)
    return f"{'the nearest are' if close else 'it offers'} {shown}" if shown else "check the contract's hash"


def _argument(wanted: ParameterType, text: str) -> Argument:
    """Raises ValueError when the text is no value of this type."""
    match wanted:
        case ParameterType.BOOLEAN:
            if text not in ("true", "false"):
                raise ValueError("write true or false")
            return Argument(wanted, text == "true")
        case ParameterType.INTEGER:
            return Argument(wanted, _integer(text))
        case ParameterType.HASH160:
            return Argument(wanted, account_of(text))
        case ParameterType.HASH256:
            return Argument(wanted, tx_hash(text))
        case ParameterType.BYTE_ARRAY | ParameterType.PUBLIC_KEY | ParameterType.SIGNATURE:
            return Argument(ParameterType.BYTE_ARRAY, bytes.fromhex(text.removeprefix("0x")))
        case ParameterType.STRING:
            return Argument(wanted, text)
        case ParameterType.ANY:
            return Argument(wanted, None) if text in ("null", "nil") else Argument(ParameterType.STRING, text)
        case _:
            raise ValueError(f"a value of type {wanted} can't be written in a runbook's command line")


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("write a whole number in decimal digits")
    number, bound = int(text), 1 << (_INTEGER_BITS - 1)
    if not -bound <= number < bound:
        raise ValueError(f"the chain's numbers have {_INTEGER_BITS} bits")
    return number

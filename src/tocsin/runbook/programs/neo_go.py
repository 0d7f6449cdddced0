"""`neo-go` command lines: contract calls, test invocations and queries."""

import re
from collections.abc import Sequence

from tocsin.domain.canonical import Json
from tocsin.runbook.placeholders import placeholders
from tocsin.runbook.programs.options import Grammar, NotRecognised, Parsed, Recognised, each, parse, present

_COMMANDS = frozenset({"node", "db", "contract", "wallet", "vm", "util", "query", "help", "h"})  # of neo-go 0.120
_NODE = {**each("rpc", "-r", "--rpc-endpoint"), **each("timeout", "-s", "--timeout")}
_INVOKE = Grammar(
    valued={**_NODE, **each("wallet", "-w", "--wallet"), **each("address", "-a", "--address")},
    flags={"--await": "await"},  # Tocsin always waits
    refused={
        "--force": "it would send what FAULTs, and Tocsin sends nothing that does not HALT first",
        "--out": "it writes the transaction to a file and sends nothing",
        "--wallet-config": "Tocsin signs with the keys of tocsin.toml",
        **each("Tocsin works out the fees itself", "-g", "--gas", "-e", "--sysgas"),
    },
    options_first=True,
)
_TEST = Grammar(
    valued=_NODE,
    flags={},
    refused={"--historic": "it reads an old state, not the present one"},
    options_first=True,
)
_QUERY = Grammar(valued=_NODE, flags=each("display", "-v", "--verbose"), refused={})

_TYPED = re.compile(r"(?:any|bool|int|string|addr|hash160|hash256|bytes|filebytes|key|signature|array|map):")
_GAS_PLACEHOLDER = re.compile(r"gas(?:[ _-](?:token|contract|hash))*", re.IGNORECASE)
_GAS_NAMES = frozenset({"gas", "gastoken", "0xd2a4cff31913016155e38e474a2c06d08be276cf"})  # native, the same everywhere


def recognise(words: Sequence[str]) -> Recognised:
    """The action of the words after `neo-go`.

    Raises:
        NotRecognised: see its message.
    """
    match list(words):
        case ["contract", "invokefunction", *rest]:
            return _invocation(_call(parse(rest, _INVOKE)))
        case ["contract", "testinvokefunction", *rest]:
            return Recognised("contract.read", _call(parse(rest, _TEST)))
        case ["query", subject, *rest]:
            return _query(subject, parse(rest, _QUERY))
        case ["cli", "node", "state", *_]:
            raise NotRecognised(
                "neo-go has no command `cli node state`; `neo-go query height -r <rpc>` asks a node for its height"
            )
        case [first, *_] if first not in _COMMANDS and not first.startswith("-"):
            raise NotRecognised(f"neo-go has no command `{first}`; what Tocsin knows of it is `contract` and `query`")
        case _:
            raise NotRecognised(f"Tocsin has no action for `{' '.join(['neo-go', *words[:2]])}`")


def _call(parsed: Parsed) -> dict[str, Json]:
    if len(parsed.words) < 2:
        raise NotRecognised("it names no method" if parsed.words else "it names no contract")
    contract, method, *args = parsed.words
    for argument in args:
        if argument in ("[", "]", "{", "}"):
            raise NotRecognised("it passes an array or map, which Tocsin does not read from a command line yet")
        if _TYPED.match(argument):
            raise NotRecognised(
                f"it gives the type of an argument ({argument}); write the bare value: the type is in the manifest"
            )
    return present(
        contract=contract,
        method=method,
        args=args,
        rpc=parsed.one("rpc"),
        wallet=parsed.one("wallet"),
        address=parsed.one("address"),
        signers=list(parsed.after_separator) or None,
    )


def _invocation(call: dict[str, Json]) -> Recognised:
    contract, method, args = call["contract"], call["method"], call["args"]
    assert isinstance(contract, str)
    assert isinstance(args, list)
    match method:
        case "pauseAll":
            return Recognised("contract.pause", call)
        case "setPaused" if args[:1] == ["true"]:
            return Recognised("contract.pause", call)
        case "restoreState":
            return Recognised("state.restore", call)
        case "transfer" if args[-1:] == ["refill"] or _is_gas(contract):
            return Recognised("gas.refill", call)
        case _:
            return Recognised("contract.invoke", call)


def _is_gas(contract: str) -> bool:
    """Whether this names the GAS token itself (the Gas Bank is another contract)."""
    if contract.casefold() in _GAS_NAMES:
        return True
    names = placeholders(contract)
    return len(names) == 1 and contract == f"<{names[0]}>" and _GAS_PLACEHOLDER.fullmatch(names[0]) is not None


def _query(subject: str, parsed: Parsed) -> Recognised:
    """A query as the JSON-RPC call that neo-go makes for it."""
    params: Sequence[Json]
    match subject, parsed.words:
        case "height", ():
            method, params = "getblockcount", []
        case "committee", ():
            method, params = "getcommittee", []
        case "candidates", ():
            method, params = "getcandidates", []
        case "tx", (tx,):
            method, params = "getrawtransaction", [tx, True]
        case _:
            raise NotRecognised(f"Tocsin has no action for `{' '.join(['neo-go query', subject, *parsed.words])}`")
    return Recognised("rpc.query", present(url=parsed.one("rpc"), method=method, params=params))

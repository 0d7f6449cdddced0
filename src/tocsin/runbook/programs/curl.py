"""`curl` command lines: JSON-RPC, HTTP GET and HTTP POST.

A header may hold a secret's placeholder; it is carried along as it is written, and nothing here fills it in.
"""

import json
import re
from collections.abc import Sequence
from typing import NoReturn, cast

from tocsin.domain.canonical import Json
from tocsin.runbook.programs.options import Grammar, NotRecognised, Parsed, Recognised, each, parse, present

_GRAMMAR = Grammar(
    valued={
        **each("method", "-X", "--request"),
        **each("header", "-H", "--header"),
        **each("data", "-d", "--data", "--data-ascii", "--data-raw", "--data-binary"),
        **each("limit", "-m", "--max-time", "--connect-timeout", "--retry", "--retry-delay", "--retry-max-time"),
        "--url": "url",
        "--json": "json",
    },
    # How curl prints and fails, and which way it goes, says nothing to an action, which has its own ways.
    flags={
        **each("display", "-s", "--silent", "-S", "--show-error", "-i", "--include", "-v", "--verbose"),
        **each("failure", "-f", "--fail", "--fail-with-body"),
        **each("transport", "-L", "--location", "--compressed", "--http1.1", "--http2", "-4", "-6"),
    },
    refused={
        **each("it switches the check of the server's certificate off", "-k", "--insecure"),
        **each("it gives a password on the command line", "-u", "--user"),
        **each("it writes a file", "-o", "--output", "-O", "--remote-name"),
        **each("it uploads a file or a form", "-T", "--upload-file", "-F", "--form"),
        **each("it asks for the headers only", "-I", "--head"),
        **each("it sends its data in the address", "-G", "--get"),
        **each("it reads its options from a file", "-K", "--config"),
    },
)
_URL = re.compile(r"(?:https?://|<[^<>]+>)\S*", re.IGNORECASE)

_READING_RPC = re.compile(
    r"(?:get|find|list)\w+|invoke(?:function|script|contractverify|containedscript)(?:historic)?"
    r"|calculatenetworkfee|validateaddress|verifyproof",
    re.ASCII,
)
"""JSON-RPC methods of a Neo node that change nothing."""


def recognise(words: Sequence[str]) -> Recognised:
    """The action of the words after `curl`.

    Raises:
        NotRecognised: see its message.
    """
    parsed = parse(words, _GRAMMAR)
    url = _url(parsed)
    body, headers = _body(parsed), list(parsed.options.get("header", ()))
    if "json" in parsed.options:
        headers.append("Content-Type: application/json")
    method = parsed.one("method") or ("POST" if body is not None else "GET")
    match method.upper():
        case "GET" if body is None:
            return Recognised("http.get", present(url=url, headers=list(headers) or None))
        case "POST":
            if (call := _json_object(body)) is not None and "jsonrpc" in call and "method" in call:
                return _rpc(url, call)
            return Recognised("http.post", present(url=url, headers=list(headers) or None, body=body))
        case other:
            raise NotRecognised(f"Tocsin has no action for an HTTP {other}{' with a body' if other == 'GET' else ''}")


def _url(parsed: Parsed) -> str:
    urls = (*parsed.options.get("url", ()), *parsed.words, *parsed.after_separator)
    if len(urls) != 1:
        raise NotRecognised("it names no address" if not urls else f"it asks {len(urls)} addresses: write one a line")
    if _URL.fullmatch(urls[0]) is None:
        raise NotRecognised(f"{urls[0]} is no address that begins with http:// or https://")
    return urls[0]


def _body(parsed: Parsed) -> str | None:
    parts = (*parsed.options.get("data", ()), *parsed.options.get("json", ()))
    if len(parts) > 1:
        raise NotRecognised("it sends several pieces of data")
    if parts and parts[0].startswith("@"):
        raise NotRecognised(f"it sends the content of the file {parts[0][1:] or '(standard input)'}")
    return parts[0] if parts else None


def _rpc(url: str, call: dict[str, Json]) -> Recognised:
    method, params = call["method"], call.get("params", [])
    if not isinstance(method, str) or not isinstance(params, list):
        raise NotRecognised("it is no JSON-RPC call: `method` must be a text and `params` a list")
    if _READING_RPC.fullmatch(method) is None:
        raise NotRecognised(
            f"the JSON-RPC method {method} is none of those that only read; Tocsin sends by contract.invoke"
        )
    return Recognised("rpc.query", {"url": url, "method": method, "params": params})


def _json_object(text: str | None) -> dict[str, Json] | None:
    """A JSON object without floating-point numbers (which have no canonical form), or None."""
    if text is None:
        return None
    try:
        value = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Json], value) if isinstance(value, dict) else None


def _refuse(number: str) -> NoReturn:
    raise ValueError(number)

"""JSON-RPC over HTTP with one endpoint: calls, batches, bounded time and size; every transport error translated once.

Knows nothing of what is asked: the answers' shapes stand in `wire`, which endpoint to ask in `nodes`. The two errors
here stay inside `connect.neo`; the modules above turn them into the domain's.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import cast

import httpx2
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tocsin.domain.canonical import Json

BATCH_CALLS_MAX = 100
"""What neo-go accepts in one batch."""


class RpcFailure(Exception):
    """No result came back."""


class TransportFailed(RpcFailure):
    """No usable answer. `delivered` is False only where the request can't have reached anybody (no connection)."""

    def __init__(self, message: str, *, delivered: bool) -> None:
        super().__init__(message)
        self.delivered = delivered


class AnswerTooLong(TransportFailed):
    """The answer has more bytes than are taken; a smaller question may do."""


class RpcRejected(RpcFailure):
    """The endpoint answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{printable(message)} ({code})")
        self.code = code


_NEVER_CONNECTED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
)

type Call = tuple[str, tuple[Json, ...]]
"""A method with its parameters."""


class RpcClient:
    """One endpoint. The HTTP client is shared and belongs to whoever made it."""

    def __init__(self, http: httpx2.AsyncClient, url: str, *, request_s: float, body_bytes_max: int) -> None:
        self._http = http
        self._url = url
        self._request_s = request_s
        self._body_bytes_max = body_bytes_max
        self._ids = itertools.count(1)

    async def call[T](self, shape: TypeAdapter[T], method: str, *parameters: Json) -> T:
        """The result of one call.

        Raises:
            TransportFailed: no answer in time, or none that can be read.
            RpcRejected: the endpoint answered with an error.
        """
        reply = await self._post(self._request(method, parameters))
        return read(shape, result_of(reply, method))

    async def batch(self, calls: Sequence[Call]) -> list[Json | RpcRejected]:
        """The results of several calls in their order, sent together so that one backend answers all of them.

        More than a hundred go as several batches in turn. A call that was rejected gives its `RpcRejected`.

        Raises:
            TransportFailed: no answer in time, or none that can be read.
        """
        results: list[Json | RpcRejected] = []
        for chunk in itertools.batched(calls, BATCH_CALLS_MAX, strict=False):
            requests = [self._request(method, parameters) for method, parameters in chunk]
            replies = await self._post(requests)
            if not isinstance(replies, list):
                # An endpoint that rejects the batch as such answers with a single error object.
                result_of(replies, "batch")
                raise TransportFailed("the answer to a batch is no list", delivered=True)
            by_id = _by_id(cast("list[object]", replies))
            for request in requests:
                try:
                    results.append(result_of(by_id.get(request["id"]), cast(str, request["method"])))
                except RpcRejected as rejected:
                    results.append(rejected)
        return results

    def _request(self, method: str, parameters: Sequence[Json]) -> dict[str, Json]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}

    async def _post(self, body: Json) -> object:
        try:
            # The client's own time-outs are per read; this one bounds the whole, however slowly it trickles.
            async with asyncio.timeout(self._request_s):
                return await self._exchange(body)
        except TimeoutError as error:
            raise TransportFailed(f"no answer within {self._request_s:g} s", delivered=True) from error
        except _NEVER_CONNECTED as error:
            raise TransportFailed(f"no connection: {error}", delivered=False) from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise TransportFailed(f"{type(error).__name__}: {error}", delivered=True) from error

    async def _exchange(self, body: Json) -> object:
        async with self._http.stream("POST", self._url, json=body) as response:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._body_bytes_max:
                    raise AnswerTooLong(f"the answer is longer than {self._body_bytes_max} bytes", delivered=True)
        try:
            # Names come again and again, values hardly ever: remembering those takes memory and time.
            return cast(object, from_json(content, cache_strings="keys"))
        except (ValueError, RecursionError) as error:
            what = f"HTTP {response.status_code} without JSON"
            raise TransportFailed(what, delivered=True) from error


def result_of(reply: object, method: str) -> Json:
    """The result in one JSON-RPC reply.

    Raises:
        TransportFailed: it is no JSON-RPC reply.
        RpcRejected: it is an error.
    """
    if isinstance(reply, dict):
        members = cast("dict[str, Json]", reply)
        error = members.get("error")
        if isinstance(error, Mapping):
            raise _rejection(error)
        if "result" in members:
            return members["result"]
    raise TransportFailed(f"the answer to {method} is no JSON-RPC", delivered=True)


def read[T](shape: TypeAdapter[T], result: Json) -> T:
    """The result in its shape.

    Raises:
        TransportFailed: it has another one.
    """
    try:
        return shape.validate_python(result)
    except (ValidationError, RecursionError) as error:
        raise TransportFailed("the answer has an unexpected shape", delivered=True) from error


def printable(text: str) -> str:
    """Somebody else's text on one line and without control characters, which would steer the terminal that shows it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each in "\t\n\r" else "\ufffd" for each in text)


def _by_id(replies: list[object]) -> dict[object, object]:
    objects = [cast("dict[str, object]", reply) for reply in replies if isinstance(reply, dict)]
    return {number: reply for reply in objects if isinstance(number := reply.get("id"), int)}


def _rejection(error: Mapping[str, Json]) -> RpcRejected:
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    text = str(message or "error")
    if isinstance(data, str) and data:
        text = f"{text}: {data}"
    return RpcRejected(code if isinstance(code, int) else 0, text[:500])

"""An endpoint between Tocsin and a real node that may lie, refuse or die: a small JSON-RPC proxy on loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

type Message = dict[str, Any]
type Lie = Callable[[Message, Message], Message | None]
"""Gets a request and the node's honest reply; gives the reply to send, or None to break the connection."""


def honest(request: Message, reply: Message) -> Message:
    return reply


def rejecting(method: str, code: int, message: str) -> Lie:
    """Rejects one method; the node behind has done it all the same."""

    def lie(request: Message, reply: Message) -> Message:
        if request["method"] != method:
            return reply
        return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}

    return lie


def answering(method: str, change: Callable[[Any], Any]) -> Lie:
    """Changes the result of one method."""

    def lie(request: Message, reply: Message) -> Message:
        if request["method"] != method or "result" not in reply:
            return reply
        return reply | {"result": change(reply["result"])}

    return lie


def breaking(method: str) -> Lie:
    """Breaks the connection instead of replying to one method; the node behind has done it all the same."""
    return lambda request, reply: None if request["method"] == method else reply


@dataclass
class ProxyEndpoint:
    """A running proxy. `seen` counts the calls by method; `forwards` says which methods reach the node at all."""

    node_url: str
    http: httpx2.AsyncClient
    lie: Lie = honest
    withheld: frozenset[str] = frozenset()
    url: str = ""
    seen: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
            )
            body = json.loads(await reader.readexactly(length))
            replies = [await self._reply(request) for request in (body if isinstance(body, list) else [body])]
            if None not in replies:
                content = json.dumps(replies if isinstance(body, list) else replies[0]).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, request: Message) -> Message | None:
        self.seen.append(request["method"])
        reply: Message = {"jsonrpc": "2.0", "id": request["id"], "result": {"hash": f"0x{0:064x}"}}
        if request["method"] not in self.withheld:
            reply = (await self.http.post(self.node_url, json=request)).json()
        return self.lie(request, reply)


@asynccontextmanager
async def proxy(
    node_url: str, lie: Lie = honest, *, withheld: frozenset[str] = frozenset()
) -> AsyncGenerator[ProxyEndpoint]:
    """A proxy before a node. Calls of `withheld` methods never reach the node, and get a hash for an answer."""
    # One client: to make one takes longer than many a time-out in the tests.
    async with httpx2.AsyncClient(timeout=5, trust_env=False, verify=False) as http:
        endpoint = ProxyEndpoint(node_url, http, lie, withheld)
        server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
        endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield endpoint
        finally:
            server.close()
            await server.wait_closed()

"""The newest heads that the endpoints' subscriptions tell of. What they are worth is the feed's to judge."""

import asyncio
from collections.abc import Callable

from pydantic import ValidationError

from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.nodes import Nodes
from tocsin.connect.neo.subscription import State, Stream, Subscription
from tocsin.connect.neo.websocket import Event
from tocsin.connect.neo.wire import HEADER_EVENT

HEADERS = Stream("header_of_added_block")


class HeadListener:
    """Listens to all endpoints that have a WebSocket."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._told: dict[str, int] = {}
        self._woken = asyncio.Event()
        self._listening: set[str] = set()

    @property
    def live(self) -> bool:
        """Whether any subscription stands."""
        return bool(self._listening)

    async def next(self, wait_s: float) -> dict[str, int]:
        """What was heard since the last call: endpoint's name to newest block. Empty if nothing came in time."""
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return {}
        self._woken.clear()
        told, self._told = self._told, {}
        return told

    async def run(self) -> None:
        """Listens until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for endpoint in self._nodes.config.endpoints:
                subscription = Subscription(
                    self._nodes,
                    endpoint,
                    HEADERS,
                    on_event=self._hear(endpoint),
                    on_state=self._note(endpoint),
                )
                tasks.create_task(subscription.run())

    def _hear(self, endpoint: Endpoint) -> Callable[[Event], None]:
        def hear(event: Event) -> None:
            try:
                height = HEADER_EVENT.validate_python(event).params[0].index
            except ValidationError:
                # Dropped events among them: whoever reads looks for the newest block in time all the same.
                return
            self._told[endpoint.name] = height
            self._woken.set()

        return hear

    def _note(self, endpoint: Endpoint) -> Callable[[State, str], None]:
        def note(state: State, _reason: str) -> None:
            if state == "listening":
                self._listening.add(endpoint.name)
            else:
                self._listening.discard(endpoint.name)

        return note

"""A world with one switch, and actions that work on it, which tests let succeed, fail or go unanswered.

The actions implement the protocol of `actions/protocol.py`. The world stands for the outbox and the chain together: it
remembers under which key it was changed, and changes once a key.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tocsin.actions.catalogue import AnyAction, Catalogue
from tocsin.actions.protocol import Preflight, Receipt
from tocsin.domain.actions import Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import tx_hash

SWITCH = "contract:switch"
VALID_UNTIL = 1_000


@dataclass
class World:
    """What was done to it, and what it answers next.

    `answers` holds errors for the calls to come, by method (`bind setPaused`, `preflight setPaused`, or `run`, `verify`
    and `recall`); each is raised once. A `lost` reply is an error that `run` raises after the change has been made.
    What happens `meanwhile` happens at the beginning of the call, once.
    """

    holds: bool = True
    answers: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict[str, list[Exception]](list))
    lost: list[Exception] = field(default_factory=list[Exception])
    meanwhile: dict[str, Callable[[], Awaitable[object]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[object]]]
    )
    asked: list[str] = field(default_factory=list[str])
    changed: dict[str, Receipt] = field(default_factory=dict[str, Receipt])

    async def called(self, call: str) -> None:
        self.asked.append(call)
        if call in self.meanwhile:
            await self.meanwhile.pop(call)()
        if self.answers[call]:
            raise self.answers[call].pop(0)

    def change(self, key: str) -> Receipt:
        """Makes the change, unless it was made under this key already."""
        self.changed.setdefault(key, Receipt(tx_hash(f"{len(self.changed) + 1:064x}"), VALID_UNTIL))
        if self.lost:
            raise self.lost.pop(0)
        return self.changed[key]


@dataclass(frozen=True)
class Input:
    method: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Pause:
    """A verb that changes the world."""

    world: World
    name: ClassVar[str] = "contract.pause"
    autonomy: ClassVar[Autonomy] = Autonomy.ASK_THEN_ACT
    approvals: ClassVar[int] = 1
    changes: ClassVar[bool] = True

    @property
    def input_type(self) -> type[Input]:
        return Input

    async def bind(self, arguments: Mapping[str, Json]) -> Input:
        method, args = arguments["method"], arguments["args"]
        assert isinstance(method, str)
        assert isinstance(args, list)
        await self.world.called(f"bind {method}")
        return Input(method, tuple(str(each) for each in args))

    async def preflight(self, given: Input) -> Preflight:
        await self.world.called(f"preflight {given.method}")
        return Preflight(f"{given.method}({', '.join(given.args)})", {"paused": False}, (SWITCH,))

    async def run(self, key: str, given: Input, before: Mapping[str, Json]) -> Receipt:
        await self.world.called("run")
        return self.world.change(key)

    async def recall(self, key: str, given: Input, before: Mapping[str, Json]) -> Receipt | None:
        await self.world.called("recall")
        return self.world.changed.get(key)

    async def verify(self, key: str, given: Input, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        await self.world.called("verify")
        return Verification(self.world.holds, "it is paused" if self.world.holds else "nothing is paused", height=7)

    async def compensate(self, key: str, given: Input, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        raise Refused("nothing-to-compensate", "these tests take nothing back")


@dataclass(frozen=True)
class TwoPersonPause(Pause):
    """The same verb where it takes two people."""

    approvals: ClassVar[int] = 2


@dataclass(frozen=True)
class Read(Pause):
    """A verb that only reads: it sends nothing, so there is always a receipt."""

    name: ClassVar[str] = "contract.read"
    autonomy: ClassVar[Autonomy] = Autonomy.ACT
    approvals: ClassVar[int] = 0
    changes: ClassVar[bool] = False

    async def preflight(self, given: Input) -> Preflight:
        await self.world.called(f"preflight {given.method}")
        return Preflight(f"read {given.method}")

    async def run(self, key: str, given: Input, before: Mapping[str, Json]) -> Receipt:
        return Receipt(note="nothing is sent")

    async def recall(self, key: str, given: Input, before: Mapping[str, Json]) -> Receipt | None:
        return Receipt(note="nothing is sent")


def catalogue(world: World, pause: type[Pause] = Pause) -> Catalogue:
    actions: list[AnyAction] = [pause(world), Read(world)]
    return Catalogue(actions)

"""The catalogue: binds an `ActionCall` of the runbook to a typed action, and keeps typed inputs as JSON.

Outside of here nobody knows an action's input type: respond/ and check/ handle `Bound` values.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import TypeAdapter

from tocsin.actions.protocol import Action, Preflight, Receipt
from tocsin.domain.actions import ActionCall, Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused

type AnyAction = Action[Any]


class Bound:
    """An action together with its typed input."""

    def __init__(self, action: AnyAction, given: object) -> None:
        self._action, self._given = action, given

    @property
    def name(self) -> str:
        return self._action.name

    @property
    def autonomy(self) -> Autonomy:
        return self._action.autonomy

    @property
    def approvals(self) -> int:
        return self._action.approvals

    @property
    def changes(self) -> bool:
        return self._action.changes

    def inputs(self) -> Mapping[str, Json]:
        """The typed input as a JSON object, from which `Catalogue.restore` makes the same `Bound` again."""
        adapter: TypeAdapter[object] = TypeAdapter(self._action.input_type)
        return cast(Mapping[str, Json], adapter.dump_python(self._given, mode="json"))

    async def preflight(self) -> Preflight:
        return await self._action.preflight(self._given)

    async def run(self, key: str, before: Mapping[str, Json]) -> Receipt:
        return await self._action.run(key, self._given, before)

    async def recall(self, key: str, before: Mapping[str, Json]) -> Receipt | None:
        return await self._action.recall(key, self._given, before)

    async def verify(self, key: str, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        return await self._action.verify(key, self._given, before, receipt)

    async def compensate(self, key: str, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        return await self._action.compensate(key, self._given, before, receipt)


class Catalogue:
    """The actions that this installation can carry out, by name."""

    def __init__(self, actions: Iterable[AnyAction]) -> None:
        listed = tuple(actions)
        self._actions = {action.name: action for action in listed}
        assert len(self._actions) == len(listed), "two actions have the same name"

    def __contains__(self, name: str) -> bool:
        return name in self._actions

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._actions))

    async def bind(self, call: ActionCall) -> Bound:
        """Binds a call whose placeholders are replaced already.

        Raises:
            Refused: no such action here, or the arguments don't fit the platform.
            Unavailable: the platform can't be asked now.
        """
        action = self._get(call.action)
        return Bound(action, await action.bind(call.arguments))

    def restore(self, name: str, inputs: Mapping[str, Json]) -> Bound:
        """The bound action that `Bound.inputs` was taken from.

        Raises:
            Refused: no such action here.
            ValueError: its input has another form by now. This is no refusal: the run may have been sent long ago.
        """
        action = self._get(name)
        adapter: TypeAdapter[object] = TypeAdapter(action.input_type)
        return Bound(action, adapter.validate_python(inputs))

    def _get(self, name: str) -> AnyAction:
        if name not in self._actions:
            raise Refused(
                "action-not-installed",
                f"this installation has no action {name}",
                next_step=f"do it by hand and say so; it can carry out {', '.join(self.names)}",
            )
        return self._actions[name]

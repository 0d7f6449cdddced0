"""What exactly a plan would call, read from its typed inputs alone: what an approver must see.

A plan's summary is words that an action found for it, and serves for an overview. Which inputs an action has is its own
affair: those that hold a contract call are recognized by its form, any others are shown as they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.domain.canonical import Json, canonical_bytes


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A contract call: the contract's script hash, the method, and the arguments as texts."""

    contract: str
    method: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_quoted(self.contract)} {_quoted(self.method)}({', '.join(json.dumps(a) for a in self.arguments)})"

    def as_json(self) -> dict[str, Json]:
        return {"contract": self.contract, "method": self.method, "arguments": list(self.arguments)}


def planned_call(inputs: Mapping[str, Json]) -> PlannedCall | None:
    """The contract call among a plan's inputs; None if there is none."""
    call = inputs.get("call")
    if not isinstance(call, Mapping):
        return None
    contract, method, arguments = call.get("contract"), call.get("method"), call.get("arguments")
    if not isinstance(contract, str) or not isinstance(method, str) or not isinstance(arguments, list | tuple):
        return None
    texts = tuple(_text(argument) for argument in arguments)
    return (
        PlannedCall(contract, method, tuple(text for text in texts if text is not None)) if None not in texts else None
    )


def exactly(inputs: Mapping[str, Json]) -> str:
    """A plan's inputs in one line of printable ASCII, so that no argument can pass for another or move the cursor."""
    call = planned_call(inputs)
    return json.dumps(json.loads(canonical_bytes(inputs))) if call is None else str(call)


def _text(argument: Json) -> str | None:
    text = argument.get("text") if isinstance(argument, Mapping) else None
    return text if isinstance(text, str) else None


def _quoted(word: str) -> str:
    """A word as it is, if nothing in it needs quoting."""
    return word if word.isascii() and word.replace("_", "").isalnum() else json.dumps(word)

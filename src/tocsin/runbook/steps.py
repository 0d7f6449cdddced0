"""The steps of a procedure: titles with their budgets and conditions, commands with alternatives, checklist items."""

import re
from collections.abc import Sequence

from tocsin.runbook.blocks import Block, Fence, ListBlock, Text, leaves
from tocsin.runbook.commands import read_choices
from tocsin.runbook.document import Document
from tocsin.runbook.durations import looks_like_time, time_span
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import Budget, ChecklistItem, Choice, Step
from tocsin.runbook.severities import read_time
from tocsin.runbook.shell import is_shell

_OPENING_GROUP = re.compile(r"\s*\((?P<inside>[^()]*)\)")
_CONDITION = re.compile(r"(?:if|when|unless|only|optional)\b", re.IGNORECASE)


def read_steps(document: Document, blocks: Sequence[Block], first_number: int) -> tuple[Step, ...]:
    """The steps in the blocks under "Immediate Actions": the items of its numbered lists.

    What follows a numbered list without being indented (a fence at the margin, say) belongs to the step before it.

    Raises:
        ConfigurationInvalid: a step without title, a budget that can't be read, or commands before the first step.
    """
    contents: list[list[Block]] = []
    for block in blocks:
        if isinstance(block, ListBlock) and block.ordered:
            for item in block.items:
                if not item:
                    raise invalid(block.position, "a step in this list is empty", "give each step a title")
                contents.append(list(item))
        elif contents:
            contents[-1].append(block)
        else:
            for leaf in leaves([block]):
                if isinstance(leaf, Fence) and is_shell(leaf):
                    raise invalid(leaf.position, "these commands belong to no step", "put them under a numbered step")
            document.leave([block])
    return tuple(_step(number, content) for number, content in enumerate(contents, start=first_number))


def _step(number: int, blocks: list[Block]) -> Step:
    head, *body = blocks
    if not isinstance(head, Text) or not head.text:
        raise invalid(
            head.position, "this step has no title", "begin it with its title: “1. **Pause Contracts** (5 minutes)”"
        )
    reader = _Title(head)
    choices: tuple[Choice, ...] = ()
    items = [ChecklistItem(reader.instruction, head.position)] if reader.instruction else []
    for leaf in leaves(body):
        if isinstance(leaf, Fence) and is_shell(leaf):
            choices, instructions = read_choices(leaf, choices)
            items.extend(instructions)
        elif leaf.text:
            items.append(ChecklistItem(leaf.text, leaf.position))
    return Step(number, reader.title, reader.budget, reader.condition, choices, tuple(items), head.position)


class _Title:
    """The first paragraph of a step: "**Pause New Payments** (10 minutes, if critical): tell support first"."""

    def __init__(self, head: Text) -> None:
        self._head = head
        self.budget: Budget | None = None
        self.condition: str | None = None
        title, rest = (head.text, "") if head.lead is None else (head.lead, head.rest)
        while (group := _OPENING_GROUP.match(rest)) and self._take(group["inside"]):
            rest = rest[group.end() :]
        title = title.rstrip()
        while title.endswith(")") and (start := title.rfind("(")) >= 0 and self._take(title[start + 1 : -1]):
            title = title[:start].rstrip()
        self.title = title.strip().removesuffix(":").rstrip()
        self.instruction = rest.strip().lstrip(":-\u2013\u2014").strip()
        if not self.title:
            raise invalid(head.position, "this step has no title", "write a title before the parentheses")

    def _take(self, inside: str) -> bool:
        """Takes what stands in parentheses as budget or condition; False if it is neither, so part of the text."""
        parts = [part.strip() for part in inside.split(",")]
        if not all(_CONDITION.match(part) or _is_meant_as_time(part) for part in parts):
            return False
        for part in parts:
            if _CONDITION.match(part):
                self._refuse_second(self.condition, "condition")
                self.condition = part
            else:
                self._refuse_second(self.budget, "budget")
                self.budget = read_time(self._head, part)
        return True

    def _refuse_second(self, present: object, what: str) -> None:
        if present is not None:
            raise invalid(self._head.position, f"this step has a second {what}", "keep one of them")


def _is_meant_as_time(text: str) -> bool:
    """Whether it is a time, or a mistyped one ("5 minuts"), which is to be refused and not overlooked."""
    try:
        time_span(text)
    except ValueError:
        return looks_like_time(text)
    return True

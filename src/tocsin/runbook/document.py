"""A document while it is compiled: which sections are taken up already, and what nobody took.

Each reader claims the sections whose titles it knows, and leaves behind what it can't use. In the end whatever is
unclaimed or left behind becomes remarks and commands of the `Runbook`: nothing is dropped in silence.
"""

import re
from collections.abc import Iterable, Iterator

from tocsin.runbook.blocks import Block, Fence, Text, leaves
from tocsin.runbook.commands import read_commands
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import ChecklistItem, Command, Remark
from tocsin.runbook.outline import Section, title_key
from tocsin.runbook.shell import is_shell

_PAIR = re.compile(r"(?P<name>[^:]+):\s+(?P<value>\S.*)")


class Document:
    """The outline of a document and what is left of it."""

    def __init__(self, root: Section) -> None:
        self.root = root
        self._claimed: set[int] = set()
        self._remarks: list[Remark] = []
        self._commands: list[Command] = []

    def claim(self, titles: Iterable[str]) -> list[Section]:
        """The unclaimed sections with one of these titles (as `title_key` gives them); they are claimed now.

        What stands in sections below them is not: it has its own titles.
        """
        found = [s for s in self.root.walk() if id(s) not in self._claimed and title_key(s.title) in titles]
        self._claimed.update(map(id, found))
        return found

    def claim_tree(self, section: Section) -> None:
        """Claims a section with everything below it."""
        self._claimed.update(id(each) for each in section.walk())

    def claim_children(self, section: Section) -> list[Section]:
        """The unclaimed sections directly under a section; they are claimed now."""
        found = [child for child in section.children if id(child) not in self._claimed]
        self._claimed.update(map(id, found))
        return found

    def texts(self, blocks: Iterable[Block]) -> Iterator[Text]:
        """The texts among these blocks; fences are left behind."""
        for leaf in leaves(blocks):
            if isinstance(leaf, Text):
                yield leaf
            else:
                self.leave([leaf])

    def items(self, blocks: Iterable[Block]) -> tuple[ChecklistItem, ...]:
        """The texts among these blocks as checklist items; fences are left behind."""
        return tuple(ChecklistItem(text.text, text.position) for text in self.texts(blocks) if text.text)

    def leave(self, blocks: Iterable[Block], name: str = "") -> None:
        """Leaves blocks behind, to be kept as remarks and as commands outside of any procedure.

        Args:
            blocks: what nobody has a place for.
            name: the label in front of their text, if they have one.
        """
        for leaf in leaves(blocks):
            if isinstance(leaf, Fence) and is_shell(leaf):
                content = read_commands(leaf)
                self._commands.extend(content.commands)
                self.leave_items(content.instructions)
            elif leaf.text:
                self._remarks.append(Remark(f"{name}: {leaf.text}" if name else leaf.text, leaf.position))

    def leave_items(self, items: Iterable[ChecklistItem]) -> None:
        """Leaves instructions behind that belong to no step."""
        self._remarks.extend(Remark(item.text, item.position) for item in items)

    def leave_section(self, section: Section) -> None:
        """Leaves a section's own blocks behind, under its name if it is a label."""
        if section.is_label and not section.blocks and not section.children:
            self._remarks.append(Remark(section.title, section.position))
        self.leave(section.blocks, section.title if section.is_label else "")

    def leave_unclaimed(self) -> None:
        """Leaves every unclaimed section behind."""
        for section in self.root.walk():
            if id(section) not in self._claimed:
                self.leave_section(section)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was left behind, in the order of the document."""
        return tuple(sorted(self._remarks, key=lambda remark: remark.position))

    @property
    def elsewhere(self) -> tuple[Command, ...]:
        """The commands that were left behind, in the order of the document."""
        return tuple(sorted(self._commands, key=lambda command: command.position))


def name_and_value(text: Text, example: str) -> tuple[str, str]:
    """Splits "Name: value".

    Raises:
        ConfigurationInvalid: there is no name, colon and value; `example` shows how it should look.
    """
    if text.lead is not None and text.lead_has_colon and text.lead and text.rest:
        return text.lead, text.rest
    if (match := _PAIR.fullmatch(text.text)) is None:
        raise invalid(text.position, f"{text.text!r} is no name, colon and value", f"write it as “{example}”")
    return match["name"].strip(), match["value"].strip()

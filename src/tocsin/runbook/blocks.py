"""Blocks of a document: text, fences, lists and tables, made of the Markdown parser's tokens, with exact positions.

Nothing is dropped in silence here: what Markdown would swallow (a fence or comment without an end, surplus cells of a
table row) is refused, except HTML comments, which are meant to be left out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markdown_it.tree import SyntaxTreeNode

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.invalid import invalid

_CHECKBOX = re.compile(r"\[(?P<mark>[ xX])\]\s+")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_HTML_ENDS = (
    (re.compile(r"\s*<!--"), "-->"),
    (re.compile(r"\s*<\?"), "?>"),
    (re.compile(r"\s*<!\[CDATA\["), "]]>"),
    (re.compile(r"\s*<![A-Za-z]"), ">"),
    (re.compile(r"\s*<(?:pre|script|style|textarea)\b", re.IGNORECASE), "</"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, a list item's text or a table cell, without markup.

    `lead` is the bold text that it begins with ("Incident Commander (IC)"), `rest` what follows. `lead_has_colon` says
    that a colon ends the lead, within the bold or right after it (in neither `lead` nor `rest`).
    """

    text: str
    position: SourcePosition
    lead: str | None = None
    rest: str = ""
    lead_has_colon: bool = False


@dataclass(frozen=True, slots=True)
class FenceLine:
    """A line of a fence; `position` is that of its first character that is not a space."""

    text: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced or indented block of code. `language` is the first word of its info string, in lower case."""

    language: str
    lines: tuple[FenceLine, ...]
    position: SourcePosition

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class ListBlock:
    """A list, each item with its own blocks (the first of which is usually its text)."""

    ordered: bool
    items: tuple[tuple["Block", ...], ...]
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has as many cells as `header`."""

    header: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    position: SourcePosition


type Block = Text | Fence | ListBlock | Table


def leaves(blocks: Iterable[Block]) -> Iterator[Text | Fence]:
    """The text and fences in these blocks, lists opened up and each table row as one text, in document order."""
    for block in blocks:
        match block:
            case ListBlock():
                for item in block.items:
                    yield from leaves(item)
            case Table():
                for row in block.rows:
                    yield Text(" | ".join(cell.text for cell in row), row[0].position)
            case _:
                yield block


class BlockReader:
    """Makes blocks of the parser's nodes for one document."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self._file, self._lines = file, lines

    def position(self, node: SyntaxTreeNode) -> SourcePosition:
        """Where a node's first line begins."""
        row = node.map[0] if node.map else 0
        return self._at(row, _indent(self._line(row)))

    def blocks(self, node: SyntaxTreeNode) -> list[Block]:
        """The blocks that a node stands for.

        Raises:
            ConfigurationInvalid: see the module.
        """
        match node.type:
            case "paragraph":
                return list(self.paragraph(node))
            case "heading":
                return [self.text(child) for child in node.children]
            case "fence" | "code_block":
                return [self._fence(node)]
            case "bullet_list" | "ordered_list":
                items = tuple(tuple(self._item(item)) for item in node.children)
                return [ListBlock(node.type == "ordered_list", items, self.position(node))]
            case "table":
                return self._table(node)
            case "html_block":
                return self._html(node)
            case "hr":
                return []
            case _:  # a quotation, whose content counts as if it stood there itself
                return [block for child in node.children for block in self.blocks(child)]

    def paragraph(self, node: SyntaxTreeNode) -> Iterator[Text]:
        """The texts of a paragraph: one, or one a line where every line begins with a bold name and a colon."""
        inline = node.children[0]
        lines = _split_lines(inline.children)
        if len(lines) > 1:
            row = inline.map[0] if inline.map else 0
            each = [self._text(nodes, self._starting_at(row + n, "")) for n, nodes in enumerate(lines)]
            if all(text.lead_has_colon for text in each):
                yield from each
                return
        yield self.text(inline)

    def text(self, inline: SyntaxTreeNode) -> Text:
        """The text of an inline node."""
        row = inline.map[0] if inline.map else 0
        return self._text(inline.children, self._starting_at(row, inline.content.split("\n", 1)[0]))

    def _text(self, nodes: list[SyntaxTreeNode], position: SourcePosition) -> Text:
        text = _plain(nodes)
        nodes = [node for node in nodes if node.type != "text" or node.content.strip()]
        if not nodes or nodes[0].type != "strong":
            return Text(text, position)
        lead, rest = _plain(nodes[:1]), _plain(nodes[1:])
        has_colon = lead.endswith(":") or rest.startswith(":")
        return Text(text, position, lead.removesuffix(":").rstrip(), rest.removeprefix(":").lstrip(), has_colon)

    def _item(self, item: SyntaxTreeNode) -> Iterator[Block]:
        blocks = [block for child in item.children for block in self.blocks(child)]
        for index, block in enumerate(blocks):
            if index == 0 and isinstance(block, Text) and (box := _CHECKBOX.match(block.text)):
                yield Text(block.text[box.end() :], block.position)
            else:
                yield block

    def _fence(self, node: SyntaxTreeNode) -> Fence:
        first, end = node.map or (0, 0)
        fenced = node.type == "fence"
        position = self._starting_at(first, node.markup) if fenced else self.position(node)
        if fenced:
            closing = self._line(end - 1).strip(" \t>") if end - 1 > first else ""
            if not closing.startswith(node.markup) or closing.strip(node.markup[0]):
                raise invalid(
                    position,
                    "this fence is never closed, so the text after it would be taken for code",
                    f"close it by a line {node.markup}, indented like its first line",
                )
            first += 1
        contents = node.content.removesuffix("\n").split("\n") if node.content else []
        lines = tuple(FenceLine(text, self._starting_at(first + n, text.strip())) for n, text in enumerate(contents))
        info = re.match(r"[^\s{:,]*", node.info.strip().lstrip("{."))
        return Fence(info[0].casefold() if info else "", lines, position)

    def _table(self, node: SyntaxTreeNode) -> list[Block]:
        rows = [self._row(row) for part in node.children for row in part.children]
        return [Table(rows[0], tuple(rows[1:]), self.position(node))]

    def _row(self, node: SyntaxTreeNode) -> tuple[Text, ...]:
        row = node.map[0] if node.map else 0
        line = self._line(row)
        written = _CELL_BORDER.split(line.strip(" \t>").removeprefix("|"))
        if not written[-1].strip():
            written.pop()
        if len(written) > len(node.children):
            raise invalid(
                self.position(node),
                f"this table row has {len(written)} cells, but the table has {len(node.children)} columns",
                "write a | that is part of the text as \\|",
            )
        cells: list[Text] = []
        column = 0
        for cell in node.children:
            inline = cell.children[0] if cell.children else None
            found = line.find(inline.content, column) if inline and inline.content else -1
            position = self._at(row, found if found >= 0 else max(column, _indent(line)))
            cells.append(self._text(inline.children if inline else [], position))
            column = found + len(inline.content) if inline and found >= 0 else column
        return tuple(cells)

    def _html(self, node: SyntaxTreeNode) -> list[Block]:
        position = self.position(node)
        for start, end in _HTML_ENDS:
            if (opened := start.match(node.content)) is None:
                continue
            if end not in node.content[opened.end() :]:
                raise invalid(
                    position,
                    f"{opened[0].strip()} is never closed, so the text after it would be left out",
                    f"close it by {end}",
                )
            break
        text = _without_comments(node.content).strip()
        return [Text(text, position)] if text else []

    def _line(self, row: int) -> str:
        return self._lines[row] if 0 <= row < len(self._lines) else ""

    def _starting_at(self, row: int, text: str) -> SourcePosition:
        line = self._line(row)
        found = line.find(text) if text else -1
        return self._at(row, found if found >= 0 else _indent(line))

    def _at(self, row: int, column: int) -> SourcePosition:
        return SourcePosition(self._file, row + 1, column + 1)


def _without_comments(html: str) -> str:
    kept, *commented = html.split("<!--")
    return kept + "".join(part.partition("-->")[2] if "-->" in part else f"<!--{part}" for part in commented)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _split_lines(nodes: list[SyntaxTreeNode]) -> list[list[SyntaxTreeNode]]:
    lines: list[list[SyntaxTreeNode]] = [[]]
    for node in nodes:
        if node.type in ("softbreak", "hardbreak"):
            lines.append([])
        else:
            lines[-1].append(node)
    return lines


def _plain(nodes: Iterable[SyntaxTreeNode]) -> str:
    return "".join(_plain_parts(nodes)).strip()


def _plain_parts(nodes: Iterable[SyntaxTreeNode]) -> Iterator[str]:
    for node in nodes:
        match node.type:
            case "softbreak" | "hardbreak":
                yield " "
            case "html_inline":  # a <placeholder> looks like a tag to Markdown
                yield "" if node.content.startswith("<!--") else node.content
            case "image":
                yield f"{node.content} ({node.attrGet('src') or ''})"
            case "link":
                shown, target = "".join(_plain_parts(node.children)), str(node.attrGet("href") or "")
                plain = not target or target.startswith("#") or target.removeprefix("mailto:") == shown
                yield shown if plain else f"{shown} ({target})"
            case _:
                yield node.content if not node.children else "".join(_plain_parts(node.children))

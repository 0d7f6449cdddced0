"""The outline of a document: sections, each with its blocks, as plain text that knows where it stands.

A section opens at a heading, or at a label: a paragraph that is only bold text or a known title ("**Symptoms:**"). A
label with its text on the same line ("**Activation:** Any P0 …") is a section of that one line. What the sections mean
is left to the modules that read them; blocks.py makes the blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.blocks import Block, BlockReader, Text
from tocsin.runbook.invalid import invalid

_NESTING_MAX = 24
_LABEL_LEVEL = 7  # below every heading


@dataclass(slots=True)
class Section:
    """A heading or label with what stands under it; `level`: 0 the document, 1 to 6 headings, 7 labels."""

    title: str
    level: int
    position: SourcePosition
    blocks: list[Block] = field(default_factory=list[Block])
    children: list["Section"] = field(default_factory=list["Section"])

    @property
    def is_label(self) -> bool:
        return self.level == _LABEL_LEVEL

    def walk(self) -> Iterator["Section"]:
        """This section and everything below it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


def title_key(title: str) -> str:
    """What makes two titles the same: letters, not case, hyphens or a colon at the end."""
    return " ".join(title.casefold().replace("-", " ").strip(": ").split())


def read_outline(text: str, file: str, labels: frozenset[str]) -> Section:
    """Reads a Markdown document.

    Args:
        text: the document.
        file: its name, for positions.
        labels: titles (as `title_key` gives them) that open a section even without a colon or without bold.

    Raises:
        ConfigurationInvalid: the document would swallow or lose text (a fence or comment that is never closed, a table
            row with too many cells, nesting too deep).
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # One level beyond what is accepted, so that text that is too deep is seen and refused, not dropped by the parser.
    markdown = MarkdownIt("commonmark", {"maxNesting": _NESTING_MAX * 2}).enable("table")
    tokens = markdown.parse("\n".join(lines))
    for token in tokens:
        if token.level > _NESTING_MAX:
            line = token.map[0] + 1 if token.map else 1
            raise invalid(SourcePosition(file, line), "the text is nested too deeply", "use fewer levels of lists")
    reader = BlockReader(file, lines)
    builder = _Builder(Section("", 0, SourcePosition(file, 1)), labels)
    for node in SyntaxTreeNode(tokens).children:
        if node.type == "heading":
            heading = reader.text(node.children[0]) if node.children else None
            builder.open(heading.text if heading else "", int(node.tag[1:]), reader.position(node))
        elif node.type == "paragraph":
            for paragraph in reader.paragraph(node):
                builder.add_paragraph(paragraph)
        else:
            builder.add(reader.blocks(node))
    return builder.document


class _Builder:
    def __init__(self, document: Section, labels: frozenset[str]) -> None:
        self.document = document
        self._labels = labels
        self._path = [document]

    def open(self, title: str, level: int, position: SourcePosition) -> Section:
        while self._path[-1].level >= level:
            self._path.pop()
        section = Section(title, level, position)
        self._path[-1].children.append(section)
        self._path.append(section)
        return section

    def add(self, blocks: list[Block]) -> None:
        self._path[-1].blocks.extend(blocks)

    def add_paragraph(self, paragraph: Text) -> None:
        """A label opens a section; one with its text beside it is a section of its own beside the one that is open."""
        lead, rest = paragraph.lead, paragraph.rest
        if lead is None:
            lead, rest = paragraph.text, ""
            is_label = title_key(lead) in self._labels and lead.endswith(":")
        else:
            is_label = paragraph.lead_has_colon or (not rest and title_key(lead) in self._labels)
        if not is_label:
            self.add([paragraph])
            return
        title = lead.strip().rstrip(":").rstrip()
        if not rest:
            self.open(title, _LABEL_LEVEL, paragraph.position)
            return
        around = next(section for section in reversed(self._path) if not section.is_label)
        value = replace(paragraph, text=rest, lead=None, rest="", lead_has_colon=False)
        around.children.append(Section(title, _LABEL_LEVEL, paragraph.position, [value]))

"""Tables by the names of their columns; the order of the columns and further ones do not matter."""

from collections.abc import Iterable, Iterator, Mapping

from tocsin.runbook.blocks import Block, Table, Text
from tocsin.runbook.document import Document
from tocsin.runbook.invalid import invalid
from tocsin.runbook.outline import title_key


def read_rows(
    document: Document, blocks: Iterable[Block], columns: Mapping[str, tuple[str, ...]]
) -> Iterator[Mapping[str, Text]]:
    """The rows of the tables among these blocks; other blocks are left behind.

    Args:
        document: where the rest is left.
        blocks: the blocks of a section.
        columns: for each column its possible titles, the usual one first.

    Yields:
        For each row its cells by the keys of `columns`.

    Raises:
        ConfigurationInvalid: a table lacks one of the columns.
    """
    for block in blocks:
        if not isinstance(block, Table):
            document.leave([block])
            continue
        titles = [title_key(cell.text) for cell in block.header]
        where: dict[str, int] = {}
        for key, names in columns.items():
            at = next((titles.index(name) for name in names if name in titles), None)
            if at is None:
                wanted = ", ".join(each[0].title() for each in columns.values())
                raise invalid(
                    block.position, f"this table has no column “{names[0].title()}”", f"give it the columns {wanted}"
                )
            where[key] = at
        for row in block.rows:
            yield {key: row[at] for key, at in where.items()}
            surplus = [cell for at, cell in enumerate(row) if at not in where.values()]
            document.leave(surplus)

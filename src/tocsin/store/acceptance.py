"""Rounds of acceptance, as a pure reading of the acceptances in the order in which they were given.

A round of a runbook is complete with as many principals as its first acceptance said were needed. The runbook whose
round was completed last is in force. One that was in force and was replaced starts a new round when somebody accepts it
again; else a single person could bring an old text back by adding a name to a list that was complete already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.respond.ports import AcceptanceRow


@dataclass(frozen=True, slots=True)
class Given:
    """An acceptance with the runbook and the round that it belongs to; rounds of a runbook count from 1."""

    hash: str
    round: int
    row: AcceptanceRow


def latest_round(given: Sequence[Given], hash_: str) -> Sequence[AcceptanceRow]:
    """The acceptances of the runbook's latest round."""
    number = max((each.round for each in given if each.hash == hash_), default=0)
    return [each.row for each in given if (each.hash, each.round) == (hash_, number)]


def newest_first(given: Sequence[Given]) -> Sequence[str]:
    """The runbooks whose latest round is complete, the one that was completed last first."""
    counted: dict[tuple[str, int], int] = {}
    completed: dict[str, int] = {}
    for order, each in enumerate(given):
        counted[each.hash, each.round] = count = counted.get((each.hash, each.round), 0) + 1
        if count == 1:
            completed.pop(each.hash, None)
        if count == each.row.needed:
            completed[each.hash] = order
    return sorted(completed, key=completed.__getitem__, reverse=True)


def with_acceptance(given: Sequence[Given], hash_: str, row: AcceptanceRow) -> Given | None:
    """The acceptance as it is to be kept; None if this principal's stands already in the round that is running."""
    rows = latest_round(given, hash_)
    number = max((each.round for each in given if each.hash == hash_), default=0)
    finished = bool(rows) and len(rows) >= rows[0].needed
    if not rows or (finished and newest_first(given)[0] != hash_):
        return Given(hash_, number + 1, row)
    if any(standing.principal == row.principal for standing in rows):
        return None
    return Given(hash_, number, AcceptanceRow(row.principal, row.signature, row.at, needed=rows[0].needed))

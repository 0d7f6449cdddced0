"""Which endpoints can be relied on: judged from what all of them say at about the same moment. Pure.

A fault of an endpoint (it lags, runs ahead of everybody, contradicts the majority's block) is only ever found relative
to a quorum of providers, so that one liar can't have the honest ones set aside. Asking is `watch`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.connect.neo.network import Endpoint, HealthLimits
from tocsin.connect.neo.nodes import Answer
from tocsin.connect.neo.quorum import agreed_height, agreement, providers_of


def head_of(heights: Sequence[Answer[int]], quorum: int) -> int | None:
    """The highest block that a quorum of providers has; None while fewer than that answer."""
    return agreed_height(heights, quorum) if len(providers_of(heights)) >= quorum else None


def common_height(heights: Sequence[Answer[int]], quorum: int, limits: HealthLimits) -> int | None:
    """The newest block that every endpoint should have that does not lag; None while there is no quorum."""
    head = head_of(heights, quorum)
    if head is None:
        return None
    return min(each.value for each in heights if each.value >= head - limits.lag_blocks)


def height_faults(heights: Sequence[Answer[int]], quorum: int, limits: HealthLimits) -> dict[str, str]:
    """Endpoints that are too far behind the quorum, or ahead of everybody: name to what is wrong."""
    head = head_of(heights, quorum)
    if head is None:
        return {}
    faults: dict[str, str] = {}
    near = [each for each in heights if abs(each.value - head) <= limits.lag_blocks]
    for each in heights:
        if each.value < head - limits.lag_blocks:
            faults[each.endpoint.name] = f"lags: at block {each.value}, {head - each.value} behind the others"
        elif each.value > head + limits.lag_blocks and len(_others(near, each.endpoint)) >= quorum:
            faults[each.endpoint.name] = f"claims block {each.value}, {each.value - head} ahead of all others"
    return faults


def hash_faults(hashes: Sequence[Answer[str]], height: int, quorum: int) -> dict[str, str]:
    """Endpoints whose block at `height` is not the one that a quorum of providers has: name to what is wrong."""
    agreed = agreement(hashes, quorum, lambda block_hash: block_hash)
    if agreed is None:
        return {}
    return {
        each.endpoint.name: f"contradicts the majority: its block {height} is {each.value}, theirs {agreed.value}"
        for each in hashes
        if each.value != agreed.value
    }


def _others(answers: Sequence[Answer[int]], endpoint: Endpoint) -> frozenset[str]:
    return providers_of([each for each in answers if each.endpoint.provider != endpoint.provider])


@dataclass(frozen=True, slots=True)
class Change:
    """An endpoint that is set aside now, with the reason, or that is relied on again (None)."""

    endpoint: str
    fault: str | None


class Probation:
    """Who is set aside, and for how long yet: back only after having agreed with the others for a while."""

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._good_since: dict[str, float | None] = {}
        """Those set aside: since when they have agreed without a break, None while they do not."""

    def judge(self, answered: Sequence[str], faults: Mapping[str, str], now: float) -> list[Change]:
        """What changes after a look at the endpoints that `answered`; `now` in seconds. Silence proves nothing."""
        changes = [Change(name, fault) for name, fault in faults.items()]
        for name in faults:
            self._good_since[name] = None
        for name, since in list(self._good_since.items()):
            if name in faults:
                continue
            if name not in answered:
                self._good_since[name] = None
            elif since is None:
                self._good_since[name] = now
            elif now - since >= self._limits.return_s:
                del self._good_since[name]
                changes.append(Change(name, None))
        return changes

    def accuse(self, name: str) -> None:
        """Sets an endpoint aside for something that was found elsewhere."""
        self._good_since[name] = None

"""What several endpoints' answers mean together: who stands behind which answer, and how high the chain certainly is.

Pure. Endpoints of one provider count once; a provider whose own endpoints contradict each other counts for nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from tocsin.connect.neo.nodes import Answer


@dataclass(frozen=True, slots=True)
class Agreement[K: Hashable]:
    """The answer that most providers stand behind."""

    value: K
    providers: frozenset[str]


def agreement[T, K: Hashable](answers: Sequence[Answer[T]], needed: int, key: Callable[[T], K]) -> Agreement[K] | None:
    """The answer that at least `needed` independent providers stand behind, or None.

    `key` says what of an answer is compared. Only a quorum of half the providers or less can have two such answers;
    then there is no agreement either.
    """
    behind = supporters(answers, key)
    agreed = [Agreement(value, providers) for value, providers in behind.items() if len(providers) >= needed]
    return agreed[0] if len(agreed) == 1 else None


def supporters[T, K: Hashable](answers: Sequence[Answer[T]], key: Callable[[T], K]) -> dict[K, frozenset[str]]:
    """Which providers stand behind which answer."""
    said: defaultdict[str, set[K]] = defaultdict(set)
    for answer in answers:
        said[answer.endpoint.provider].add(key(answer.value))
    behind: defaultdict[K, set[str]] = defaultdict(set)
    for provider, values in said.items():
        if len(values) == 1:
            behind[values.pop()].add(provider)
    return {value: frozenset(providers) for value, providers in behind.items()}


def providers_of[T](answers: Sequence[Answer[T]]) -> frozenset[str]:
    """The providers that answered at all."""
    return frozenset(answer.endpoint.provider for answer in answers)


def agreed_height(heights: Sequence[Answer[int]], needed: int) -> int | None:
    """The highest block that `needed` providers have; where fewer answered, one that all of those have.

    None when nobody answered. So one endpoint that claims too much or lags moves nothing while there is a quorum.
    """
    best: dict[str, int] = {}
    for answer in heights:
        provider = answer.endpoint.provider
        best[provider] = max(best.get(provider, -1), answer.value)
    if not best:
        return None
    descending = sorted(best.values(), reverse=True)
    return descending[min(needed, len(descending)) - 1]

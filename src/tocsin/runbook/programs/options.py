"""Command-line options, read strictly: an option that is not known makes the line a manual step, never a guess."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.domain.canonical import Json


class NotRecognised(Exception):
    """The line is a job for a person; the message is the reason, written to follow the command."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The action that a command line stands for, with its arguments as the line gives them."""

    action: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Grammar:
    """The options of one subcommand.

    `valued` take a value and `flags` none; both map a spelling to the option's name. `refused` maps spellings to the
    reason why a line with this option can't be an action. With `options_first`, options must precede everything else,
    and `--` separates the rest.
    """

    valued: Mapping[str, str]
    flags: Mapping[str, str]
    refused: Mapping[str, str]
    options_first: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """Options with their values, in order; flags; and the other words (those after `--` apart)."""

    options: Mapping[str, tuple[str, ...]]
    flags: frozenset[str]
    words: tuple[str, ...]
    after_separator: tuple[str, ...]

    def one(self, name: str) -> str | None:
        """The value of an option that may be given once.

        Raises:
            NotRecognised: it is given several times.
        """
        values = self.options.get(name, ())
        if len(values) > 1:
            raise NotRecognised(f"it gives {name} {len(values)} times")
        return values[0] if values else None


def each(meaning: str, *spellings: str) -> dict[str, str]:
    """Options of one meaning: the name they stand for, or why they are refused."""
    return dict.fromkeys(spellings, meaning)


def parse(words: Sequence[str], grammar: Grammar) -> Parsed:
    """Sorts the words after the subcommand.

    Raises:
        NotRecognised: an option is unknown, refused, or lacks its value.
    """
    options: dict[str, list[str]] = {}
    flags: set[str] = set()
    plain: list[str] = []
    after: tuple[str, ...] = ()
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            after = tuple(reversed(left))
            break
        if not _is_option(word):
            plain.append(word)
            continue
        if plain and grammar.options_first:
            raise NotRecognised(f"{word} stands behind the arguments, where it is not read as an option")
        name, value, cluster = _split(word, grammar)
        if name in grammar.refused:
            raise NotRecognised(f"{name}: {grammar.refused[name]}")
        if name in grammar.valued:
            if value is None:
                if not left:
                    raise NotRecognised(f"{name} lacks its value")
                value = left.pop()
            options.setdefault(grammar.valued[name], []).append(value)
        elif name in grammar.flags and value is None:
            flags.add(grammar.flags[name])
            if cluster:
                left.append(f"-{cluster}")
        else:
            raise NotRecognised(f"Tocsin does not know what {name} does here")
    return Parsed({name: tuple(values) for name, values in options.items()}, frozenset(flags), tuple(plain), after)


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not word[1].isdigit()


def _split(word: str, grammar: Grammar) -> tuple[str, str | None, str]:
    """An option's name, the value attached to it, and the rest of a cluster of short flags (`-sS`)."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None, ""
    short, rest = word[:2], word[2:]
    if not rest:
        return word, None, ""
    if short in grammar.valued:
        return short, rest.removeprefix("="), ""
    return short, None, rest


def present(**arguments: Json) -> dict[str, Json]:
    """The arguments that the line gives: those that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}

"""The page of the commands, from the command line itself."""

import enum
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAliasType

from cyclopts import App, Argument

from pages.text import anchor, docs_below, first_paragraph, origin_of, parts_of, table, without_none
from tocsin.cli.main import app

_KINDS: dict[object, str] = {bool: "switch", str: "text", int: "whole number", float: "number", Path: "path"}


def commands() -> Iterator[str]:
    """The lines of the page."""
    listed = list(leaves(app))
    yield "Exit codes: 0 done; 1 what was asked did not hold; 2 usage or configuration; 3 refused, nothing changed;"
    yield "4 outcome unknown; 5 sent, unconfirmed; 130 interrupted. With `--json` a command prints one JSON document on"
    yield "standard output, and everything else on standard error."
    yield ""
    yield from table(
        ("command", "what it does"),
        [(f"[`{_typed(path)}`](#{anchor(_typed(path))})", first_paragraph(each.help)) for path, each in listed],
    )
    for path, command in listed:
        yield from ("", f"## {_typed(path)}", "")
        yield from _command(path, command)


def leaves(command: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """The commands that do something, with their names from the outermost on, sorted."""
    for name in sorted(name for name in command if not name.startswith("-")):
        inner = command[name]
        if inner.default_command is None:
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def _typed(path: Sequence[str]) -> str:
    return " ".join(("tocsin", *path))


def _command(path: Sequence[str], command: App) -> Iterator[str]:
    function = command.default_command
    assert function is not None, "only commands that do something are described"
    aliases = _told_by_aliases(function)
    places: list[str] = []
    rows: list[tuple[str, ...]] = []
    for argument in command.assemble_argument_collection(parse_docstring=True):
        if not argument.show:
            continue
        name = ", ".join(argument.names)
        if not argument.field_info.is_keyword_only:
            name = _placeholder(argument)
            places.append(name if argument.required else f"[{name}]")
        told = argument.parameter.help or aliases.get(argument.field_info.name, "")
        rows.append((f"`{name}`", _kind(argument.hint), _with_facts(told, argument)))
    yield from ("```console", f"$ {' '.join((_typed(path), *places, '[OPTIONS]'))}", "```", "")
    yield from _without_parameters(command.help)
    yield ""
    yield from table(("argument or option", "type", "meaning"), rows)


def _placeholder(argument: Argument) -> str:
    name = argument.names[0].removeprefix("--").upper().replace("-", "_")
    return f"{name}…" if argument.field_info.kind is inspect.Parameter.VAR_POSITIONAL else name


def _kind(hint: object) -> str:
    kind = without_none(hint)[0]
    if origin_of(kind) is tuple:
        kind = parts_of(kind)[0]
    if kind in _KINDS:
        return _KINDS[kind]
    return "word" if isinstance(kind, type) and issubclass(kind, enum.Enum) else "text"


def _with_facts(told: str, argument: Argument) -> str:
    facts: list[str] = []
    if choices := argument.get_choices():
        facts.append(f"one of {', '.join(choices)}")
    if argument.required and argument.field_info.is_keyword_only:
        facts.append("required")
    default: object = argument.field_info.default
    if isinstance(default, int | float) and not isinstance(default, bool):
        facts.append(f"default {default:g}")
    elif isinstance(default, str) and default:
        facts.append(f"default {default}")
    told, added = " ".join(told.split()), "; ".join(facts)
    return f"{told} ({added})" if told and added else told or added


def _told_by_aliases(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstrings of type aliases say about the parameters that have them."""
    found: dict[str, str] = {}
    for name, annotation in inspect.get_annotations(inspect.unwrap(function)).items():
        for alias in (annotation, *parts_of(annotation)):
            if isinstance(alias, TypeAliasType) and alias.__module__ is not None:
                found[name] = docs_below(sys.modules[alias.__module__]).get(alias.__name__, "")
    return found


def _without_parameters(text: str | None) -> Iterator[str]:
    """A help text without its list of parameters, for which there is a table."""
    yield from inspect.cleandoc(text or "").split("\nParameters\n", 1)[0].rstrip().splitlines()

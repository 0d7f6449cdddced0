"""Commands of the document: what a logical command line means, as an unbound `ActionCall` or as a manual step.

A line becomes an action only if every word of it is understood; otherwise a person does it, and is told why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tocsin.domain.actions import ActionCall
from tocsin.runbook.blocks import Fence
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import ChecklistItem, Choice, Command
from tocsin.runbook.programs import curl, kubectl, neo_go, psql
from tocsin.runbook.programs.options import NotRecognised, Recognised
from tocsin.runbook.shell import CommandGroup, command_groups
from tocsin.runbook.shell_line import LogicalLine

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_OF_THIS_SHELL = frozenset({"cd", "source", ".", "unset", "alias", "set", "pushd", "popd", "ulimit", "umask"})


@dataclass(frozen=True, slots=True)
class FenceContent:
    """What one fence holds: its commands, and instructions that are written as comments without a command."""

    commands: tuple[Command, ...]
    instructions: tuple[ChecklistItem, ...]


def read_commands(fence: Fence) -> FenceContent:
    """The commands of a fence one by one; alternatives are not told apart (the comments still say "Or …")."""
    groups = command_groups(fence)
    return FenceContent(tuple(command for group in groups for command in _commands(group)), _instructions(groups))


def read_choices(fence: Fence, before: tuple[Choice, ...] = ()) -> tuple[tuple[Choice, ...], tuple[ChecklistItem, ...]]:
    """The choices of a step after a fence, and the instructions that the fence gives in comments.

    Args:
        fence: the fence.
        before: the choices of the step so far; an alternative at the head of the fence belongs to the last of them.

    Raises:
        ConfigurationInvalid: an alternative to, or of, several commands: which of them belong together can't be told.
    """
    choices = list(before)
    groups = command_groups(fence)
    previous: CommandGroup | None = None
    for group in groups:
        if not group.lines:
            continue
        if group.is_alternative and choices:
            for several in (previous, group):
                if several is not None and len(several.lines) > 1:
                    raise invalid(
                        several.lines[1].position,
                        "an alternative must be one command, and here several stand together: it can't be told which of"
                        " them an “Or” replaces",
                        "put a comment of its own before each command, or make the alternatives steps of their own",
                    )
            choices[-1] = Choice((*choices[-1].alternatives, *_commands(group)))
        else:
            choices.extend(Choice((command,)) for command in _commands(group))
        previous = group
    return tuple(choices), _instructions(groups)


def recognise(line: LogicalLine, comment: str | None) -> Command:
    """What one logical line means; `comment` is what stands above it."""
    said = "; ".join(part for part in (comment, line.comment) if part) or None
    try:
        known = _recognised(line)
    except NotRecognised as reason:
        return Command(line.text, said, None, str(reason), line.position)
    return Command(line.text, said, ActionCall(known.action, known.arguments, line.position), None, line.position)


def _recognised(line: LogicalLine) -> Recognised:
    if line.needs_shell is not None:
        raise NotRecognised(line.needs_shell)
    if not line.words:
        raise NotRecognised("it names no program")
    first, rest = line.words[0], line.words[1:]
    program = PurePosixPath(first).name
    if line.stdin is not None and program != "psql":
        raise NotRecognised(f"it feeds the file {line.stdin} to {program}")
    if program == "export" or _ASSIGNMENT.match(first):
        raise NotRecognised(_export_reason(rest if program == "export" else line.words))
    match program:
        case "neo-go":
            return neo_go.recognise(rest)
        case "curl":
            return curl.recognise(rest)
        case "kubectl":
            return kubectl.recognise(rest)
        case "psql":
            return psql.recognise(rest, line.stdin)
        case _ if program in _OF_THIS_SHELL:
            raise NotRecognised(f"`{program}` changes this one shell only, not the services")
        case _:
            raise NotRecognised(f"Tocsin has no action for `{program or first}`")


def _export_reason(words: tuple[str, ...]) -> str:
    if len(words) > 1 and not all(_ASSIGNMENT.match(word) for word in words):
        return "it sets a variable for one program of this shell only"
    about_rpc = any("RPC" in word.partition("=")[0].upper() for word in words)
    instead = "rpc.failover" if about_rpc else "workload.set_environment"
    return f"it changes this one shell only, not the services; `{instead}` changes them"


def _commands(group: CommandGroup) -> Iterator[Command]:
    return (recognise(line, group.comment) for line in group.lines)


def _instructions(groups: list[CommandGroup]) -> tuple[ChecklistItem, ...]:
    alone = (group for group in groups if not group.lines and group.comment)
    return tuple(ChecklistItem(group.comment or "", group.position) for group in alone)

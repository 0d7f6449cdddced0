"""Fences of shell code as groups of logical command lines, each group with the comment above it.

How one line is read is in shell_line.py; what a command means is left to commands.py.
"""

import re
from dataclasses import dataclass, field, replace

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.blocks import Fence, FenceLine
from tocsin.runbook.shell_line import LineScanner, LogicalLine, Open

PHYSICAL_LINES_MAX = 200
"""Lines of the document that one command may go on over."""

_SHELL_LANGUAGES = frozenset({"", "bash", "sh", "shell", "zsh"})
_SESSION_LANGUAGES = frozenset({"console", "shell-session", "shellsession", "terminal", "text"})
_PROMPT = re.compile(r"\s*\$\s+")
_OR = re.compile(r"or(?=[\s,:])", re.IGNORECASE)
_CONTROL = re.compile(
    r"(?:if|then|elif|else|fi|for|while|until|do|done|case|esac|select|function|\{|\})(?=[\s;]|$)"
    r"|[\w.-]+\s*\(\s*\)"
)


@dataclass(frozen=True, slots=True)
class CommandGroup:
    """Command lines without a blank line or a comment between them, and the comment that introduces them.

    Without lines it is an instruction for people that was written as a comment.
    """

    comment: str | None
    lines: tuple[LogicalLine, ...]
    position: SourcePosition

    @property
    def is_alternative(self) -> bool:
        """Whether the comment begins with "Or": either this is done or what stands before it, not both."""
        return self.comment is not None and _OR.match(self.comment) is not None


def is_shell(fence: Fence) -> bool:
    """Whether a fence holds commands: it is marked as shell, not marked at all, or a recorded session with prompts."""
    if fence.language in _SESSION_LANGUAGES:
        return any(_PROMPT.match(line.text) for line in fence.lines)
    return fence.language in _SHELL_LANGUAGES


def command_groups(fence: Fence) -> list[CommandGroup]:
    """The commands of a fence, with their comments, in its order."""
    groups = _Grouping(_without_prompts(fence)).groups
    lines = [line for group in groups for line in group.lines]
    control = next((line for line in lines if _CONTROL.match(line.text)), None)
    if control is None:
        return groups
    # Which of the lines between `if` and `fi` run is for a shell to say, so none of them is taken for an action.
    reason = f"it is part of a script with control flow ({control.text.split()[0]} in line {control.position.line})"
    return [replace(g, lines=tuple(replace(line, needs_shell=reason) for line in g.lines)) for g in groups]


@dataclass(slots=True)
class _Grouping:
    physical: list[FenceLine]
    groups: list[CommandGroup] = field(default_factory=list[CommandGroup])
    _comments: list[str] = field(default_factory=list[str])
    _lines: list[LogicalLine] = field(default_factory=list[LogicalLine])
    _start: SourcePosition | None = None

    def __post_init__(self) -> None:
        at, blank_before = 0, False
        while at < len(self.physical):
            line = self.physical[at]
            stripped = line.text.strip()
            if not stripped or stripped.startswith("#!"):
                at, blank_before = at + 1, True
                continue
            is_comment = stripped.startswith("#")
            if (self._lines and (is_comment or blank_before)) or (self._comments and is_comment and blank_before):
                self._close()
            self._start = self._start or line.position
            blank_before = False
            at += self._add_comment(stripped) if is_comment else self._add_line(at)
        self._close()

    def _add_comment(self, text: str) -> int:
        self._comments.append(text.lstrip("#").strip())
        return 1

    def _add_line(self, at: int) -> int:
        """Reads the logical line that begins at `at`; returns how many physical lines it takes up."""
        position = self.physical[at].position
        scanner, still_open, taken = LineScanner(), None, 0
        for taken, physical in enumerate(self.physical[at : at + PHYSICAL_LINES_MAX], start=1):  # noqa: B007
            still_open = scanner.feed(physical.text)
            if still_open is None:
                break
        line = scanner.result(position)
        if still_open in (Open.QUOTE, Open.HERE_DOCUMENT):
            # What never ends must not swallow the commands after it: only its first line is taken.
            line = LogicalLine(self.physical[at].text.strip(), (), None, still_open.value, None, position)
            taken = 1
        elif still_open is not None:
            text = line.text or self.physical[at].text.strip()
            line = replace(line, text=text, needs_shell=line.needs_shell or still_open.value)
        # A lone backslash continues with nothing: it stays as it was written.
        self._lines.append(line if line.text else replace(line, text=self.physical[at].text.strip()))
        return taken

    def _close(self) -> None:
        comment = " ".join(text for text in self._comments if text) or None
        if self._start is not None and (comment or self._lines):
            self.groups.append(CommandGroup(comment, tuple(self._lines), self._start))
        self._comments, self._lines, self._start = [], [], None


def _without_prompts(fence: Fence) -> list[FenceLine]:
    """Strips `$ ` prompts. In a recorded session only what follows a prompt is a command; the rest is output."""
    session = fence.language in _SESSION_LANGUAGES
    kept: list[FenceLine] = []
    continued = False
    for line in fence.lines:
        taken = line
        if not continued and (prompt := _PROMPT.match(line.text)):
            after = line.position.column + len(prompt[0].lstrip())
            taken = FenceLine(line.text[prompt.end() :], replace(line.position, column=after))
        elif session and not continued and line.text.strip() and not line.text.lstrip().startswith("#"):
            continue
        backslashes = len(taken.text) - len(taken.text.rstrip("\\"))
        continued = backslashes % 2 == 1
        kept.append(taken)
    return kept

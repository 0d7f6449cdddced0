"""One command line of the shell: its words without quotes, and whether it is more than a simple command.

This reads just enough of the shell's grammar to know a simple command when it sees one. Whatever needs a shell (pipes,
variables, here-documents) is named in `LogicalLine.needs_shell` and left to people. Nothing is expanded or run.
"""

import re
from dataclasses import dataclass
from enum import Enum

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.placeholders import PLACEHOLDER

_HERE_DOCUMENT = re.compile(r"<<-?\s*(?P<quote>['\"]?)(?P<end>[A-Za-z_]\w*)(?P=quote)", re.ASCII)
_REDIRECTION = re.compile(r"[0-9]?(?:>>|>\||>&|<&|<>|<<<|>)|&>")
_OPERATOR = re.compile(r"&&|\|\||;;|[|;&()]")
_EXPANSION = re.compile(r"\$(?:[A-Za-z_]\w*|[({0-9@*#?$!'-])|`", re.ASCII)
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One command line as the shell would take it, with its continuations joined and its comment left out.

    `words` are unquoted; `stdin` is the file after `<`. `needs_shell` is None for a simple command, else why it is none
    (`words` are then not to be relied upon). `comment` is the one behind it. `position` is that of its first word.
    """

    text: str
    words: tuple[str, ...]
    stdin: str | None
    needs_shell: str | None
    comment: str | None
    position: SourcePosition


class Open(Enum):
    """Why a logical line is not complete at the end of a physical line."""

    QUOTE = "a quote is opened and never closed"
    CONTINUATION = "it is continued beyond its end"
    HERE_DOCUMENT = "a here-document is opened and never closed"


class LineScanner:
    """Takes physical lines one by one until they make a logical line."""

    def __init__(self) -> None:
        self._comment: str | None = None
        self._open: Open | None = None
        self._quote: str | None = None
        self._text = ""
        self._words: list[str] = []
        self._word: list[str] | None = None
        self._stdin: str | None = None
        self._stdin_is_next = False
        self._needs_shell: str | None = None
        self._here_documents: list[str] = []

    def feed(self, line: str) -> Open | None:
        """Takes the next physical line; returns why the logical line goes on after it, or None if it is complete."""
        if self._open is Open.HERE_DOCUMENT:
            self._text += "\n" + line
            if line.strip() == self._here_documents[0]:
                self._here_documents.pop(0)
        else:
            before = self._open
            code, continued = self._scan(line)
            self._add_text(code, before)
            if continued:
                self._open = Open.CONTINUATION
                return self._open
            if self._quote is not None:
                self._append("\n")
                self._open = Open.QUOTE
                return self._open
            self._end_word()
        self._open = Open.HERE_DOCUMENT if self._here_documents else None
        return self._open

    def result(self, position: SourcePosition) -> LogicalLine:
        """The logical line so far."""
        self._end_word()
        return LogicalLine(
            self._text.strip(), tuple(self._words), self._stdin, self._needs_shell, self._comment, position
        )

    def _add_text(self, code: str, before: Open | None) -> None:
        if before is Open.QUOTE:
            self._text += "\n" + code
        elif before is Open.CONTINUATION and (self._text[-1:].isspace() or code[:1].isspace()):
            self._text = f"{self._text.rstrip()} {code.lstrip()}"
        else:
            self._text += code

    def _scan(self, line: str) -> tuple[str, bool]:
        """Splits the line into words; returns its code (no comment, no continuation) and whether it is continued."""
        at = 0
        while at < len(line):
            char = line[at]
            if char == "\\" and at == len(line) - 1 and self._quote != "'":
                return line[:at], True
            if char == "#" and self._quote is None and self._word is None:
                self._comment = line[at:].lstrip("#").strip() or None
                return line[:at].rstrip(), False
            at = self._unquoted(line, at) if self._quote is None else self._quoted(line, at)
        return line, False

    def _quoted(self, line: str, at: int) -> int:
        char = line[at]
        if char == self._quote:
            self._quote = None
            return at + 1
        if self._quote == '"':
            if char == "\\" and line[at + 1] in '$`"\\':
                self._append(line[at + 1])
                return at + 2
            self._note_expansion(line, at)
        self._append(char)
        return at + 1

    def _unquoted(self, line: str, at: int) -> int:
        char = line[at]
        if char.isspace():
            self._end_word()
            return at + 1
        if char in "'\"":
            self._quote = char
            self._append("")
            return at + 1
        if char == "\\":
            self._append(line[at + 1])
            return at + 2
        if placeholder := PLACEHOLDER.match(line, at):
            self._append(placeholder[0])
            return placeholder.end()
        if (end := self._grammar(line, at)) is not None:
            return end
        self._note_expansion(line, at)
        if _BRACES.match(line, at):
            self._note("it lists several values in braces, which only a shell takes apart: write one command each")
        self._append(char)
        return at + 1

    def _grammar(self, line: str, at: int) -> int | None:
        """Reads a redirection or operator, if one stands here; returns where it ends."""
        if here := _HERE_DOCUMENT.match(line, at):
            self._here_documents.append(here["end"])
            self._note("it feeds a here-document (<<) to a program")
            return here.end()
        if redirection := _REDIRECTION.match(line, at):
            self._note(f"it redirects by {redirection[0]}")
            return redirection.end()
        if operator := _OPERATOR.match(line, at):
            self._note(f"it combines commands by {operator[0]}: write one command a line")
            self._end_word()
            return operator.end()
        if line[at] == "<":
            self._end_word()
            self._stdin_is_next = True
            return at + 1
        return None

    def _note_expansion(self, line: str, at: int) -> None:
        if expansion := _EXPANSION.match(line, at):
            named = expansion[0] if expansion[0][-1].isalnum() else f"{expansion[0]}…"
            self._note(f"only a shell knows the value of {named}: write a <placeholder> and bind it in tocsin.toml")

    def _note(self, reason: str) -> None:
        self._needs_shell = self._needs_shell or reason

    def _append(self, text: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is None:
            return
        word, self._word = "".join(self._word), None
        if not self._stdin_is_next:
            self._words.append(word)
        elif self._stdin is None:
            self._stdin = word
        else:
            self._note("it reads from two files")
        self._stdin_is_next = False

"""Fences as logical command lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.domain.actions import SourcePosition
from tocsin.runbook.blocks import Fence, FenceLine
from tocsin.runbook.shell import PHYSICAL_LINES_MAX, CommandGroup, command_groups, is_shell
from tocsin.runbook.shell_line import LogicalLine


def fence(text: str, language: str = "bash") -> Fence:
    lines = tuple(
        FenceLine(line, SourcePosition("F.md", number, len(line) - len(line.lstrip()) + 1))
        for number, line in enumerate(text.split("\n"), start=2)
    )
    return Fence(language, lines, SourcePosition("F.md", 1))


def groups(text: str, language: str = "bash") -> list[CommandGroup]:
    return command_groups(fence(text, language))


def lines(text: str, language: str = "bash") -> list[LogicalLine]:
    return [line for group in groups(text, language) for line in group.lines]


def only(text: str) -> LogicalLine:
    (line,) = lines(text)
    return line


def test_continuations_are_joined_by_single_spaces() -> None:
    line = only("neo-go contract \\\n    invokefunction   \\\n  <hash> pauseAll")
    assert line.text == "neo-go contract invokefunction <hash> pauseAll"
    assert line.words == ("neo-go", "contract", "invokefunction", "<hash>", "pauseAll")


def test_a_word_that_is_continued_stays_one_word() -> None:
    assert only("curl https://a.example/\\\nhealth").words == ("curl", "https://a.example/health")


def test_quotes_and_escapes() -> None:
    line = only(r"""run 'a $b "c"' "d \"e\" 'f'" g\ h '' "x"y""")
    assert line.words == ("run", 'a $b "c"', "d \"e\" 'f'", "g h", "", "xy")
    assert line.needs_shell is None


def test_a_quote_may_go_on_over_lines() -> None:
    line = only("curl -d '{\n  \"a\": 1\n}' https://x")
    assert line.words == ("curl", "-d", '{\n  "a": 1\n}', "https://x")
    assert line.text == "curl -d '{\n  \"a\": 1\n}' https://x"


def test_positions_are_those_of_the_first_word() -> None:
    first, second = lines("# say\n  one \\\n  more\ntwo")
    assert (first.position.line, first.position.column) == (3, 3)
    assert (second.position.line, second.position.column) == (5, 1)


def test_comments_introduce_the_command_below() -> None:
    first, second = groups("# Check\n# the node\na\nb # at once\n\n# Or\n\nc")
    assert (first.comment, [line.text for line in first.lines]) == ("Check the node", ["a", "b"])
    assert first.lines[1].comment == "at once"
    assert (second.comment, second.is_alternative) == ("Or", False)  # "Or" alone says nothing yet
    assert [line.text for line in second.lines] == ["c"]


@pytest.mark.parametrize("comment", ["Or the other", "or: the other", "OR, by hand"])
def test_or_makes_an_alternative(comment: str) -> None:
    assert groups(f"# {comment}\na")[0].is_alternative


@pytest.mark.parametrize("comment", ["Order more", "Restart or wait", "Oracle"])
def test_other_words_do_not(comment: str) -> None:
    assert not groups(f"# {comment}\na")[0].is_alternative


def test_a_comment_without_a_command_is_a_group_of_its_own() -> None:
    alone, with_command, last = groups("# Look at the dashboard\n\n# Restart\na\n\n# Tell support")
    assert (alone.comment, alone.lines) == ("Look at the dashboard", ())
    assert (with_command.comment, len(with_command.lines)) == ("Restart", 1)
    assert (last.comment, last.lines) == ("Tell support", ())


def test_a_shebang_is_no_instruction() -> None:
    assert [group.comment for group in groups("#!/bin/bash\nrun")] == [None]


def test_prompts_are_stripped_and_output_of_a_session_is_no_command() -> None:
    assert [line.text for line in lines("$ one \\\n  more\n$ two")] == ["one more", "two"]
    session = lines("$ one\noutput of one\n# note\n$ two", "console")
    assert [line.text for line in session] == ["one", "two"]
    assert session[1].position == SourcePosition("F.md", 5, 3)


def test_the_file_after_a_less_than_is_the_input() -> None:
    line = only("psql <db> < backup.sql")
    assert (line.words, line.stdin, line.needs_shell) == (("psql", "<db>"), "backup.sql", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a | b", "combines commands by |"),
        ("a && b", "combines commands by &&"),
        ("a || b", "combines commands by ||"),
        ("a; b", "combines commands by ;"),
        ("a &", "combines commands by &"),
        ("curl https://x?a=1&b=2", "combines commands by &"),
        ("(a)", "combines commands by ("),
        ("a > out", "redirects by >"),
        ("a 2>&1", "redirects by 2>&"),
        ("a >> out", "redirects by >>"),
        ("a <<< text", "redirects by <<<"),
        ("a < b < c", "reads from two files"),
        ("a $HOME", "value of $HOME"),
        ('a "x $HOME"', "value of $HOME"),
        ("a ${HOME}", "only a shell knows"),
        ("a $(date)", "only a shell knows"),
        ("a `date`", "only a shell knows"),
        ("a deployment/{b,c}", "braces"),
        ("a \\", "continued beyond its end"),
        ("a 'b", "quote is opened and never closed"),
        ("a <<EOF\nb", "here-document is opened and never closed"),
    ],
)
def test_what_needs_a_shell_is_said(text: str, reason: str) -> None:
    assert reason in (lines(text)[0].needs_shell or "")


@pytest.mark.parametrize("text", ["a '$HOME | b'", "a \\$HOME", 'a "b;c"', "a <x> y=<z>", "a it\\'s", "a 5$"])
def test_what_needs_none_is_simple(text: str) -> None:
    assert only(text).needs_shell is None


def test_the_body_of_a_here_document_is_no_command() -> None:
    first, second = lines("kubectl apply -f - <<EOF\nneo-go contract invokefunction x pauseAll\nEOF\nnext")
    assert first.text == "kubectl apply -f - <<EOF\nneo-go contract invokefunction x pauseAll\nEOF"
    assert "here-document" in (first.needs_shell or "")
    assert second.words == ("next",)


def test_an_open_quote_does_not_swallow_the_commands_after_it() -> None:
    assert [line.text for line in lines("echo it's down\nnext one")] == ["echo it's down", "next one"]


def test_control_flow_makes_every_line_of_the_fence_a_job_for_people() -> None:
    inside = lines("before\nif paused; then\n  neo-go contract invokefunction x pauseAll\nfi\nafter")
    assert all("control flow (if in line 3)" in (line.needs_shell or "") for line in inside)


def test_a_program_may_begin_like_a_keyword() -> None:
    assert only("do-something now").needs_shell is None


def test_a_logical_line_has_a_bound() -> None:
    first, second = lines("\\\n".join(["word "] * (PHYSICAL_LINES_MAX + 1)))
    assert len(first.words) == PHYSICAL_LINES_MAX
    assert "continued beyond its end" in (first.needs_shell or "")
    assert second.words == ("word",)


@pytest.mark.parametrize(
    ("language", "text", "holds"),
    [
        ("bash", "a", True),
        ("", "a", True),
        ("sh", "a", True),
        ("console", "$ a", True),
        ("text", "$ a", True),
        ("text", "a", False),
        ("json", "a", False),
        ("sql", "a", False),
    ],
)
def test_which_fences_hold_commands(language: str, text: str, holds: bool) -> None:
    assert is_shell(fence(text, language)) is holds


@given(st.text(st.sampled_from(list("ab #\\'\"<>|&;$`{}()\n\t=-1")), max_size=80))
def test_any_text_is_split_without_losing_a_line(text: str) -> None:
    found = groups(text)
    taken = [line.position.line for group in found for line in group.lines]
    assert taken == sorted(set(taken))
    assert all(line.text for group in found for line in group.lines)

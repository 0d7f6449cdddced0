"""Whatever comes in: a `Runbook` comes out, or one `ConfigurationInvalid` with a position in the document."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.documents import RUNBOOK_BYTES, RUNBOOK_TEXT, SEVERITIES, small
from tocsin.domain.canonical import digest
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.runbook.as_json import runbook_json
from tocsin.runbook.compile import compile_runbook
from tocsin.runbook.model import Runbook

LINES = RUNBOOK_TEXT.split("\n")

FRAGMENTS = [
    *("### 2. Other (P0)", "## Emergencies", "**Immediate Actions:**", "**Symptoms:**", "**Note:** x", "**bold**"),
    *("1. **Step** (5 minutes)", "2. Step (if critical)", "1.", "- item", "- [ ] box", "    - nested", "   text", ""),
    *("```bash", "    ```bash", "```", "    ```", "~~~", "```tocsin", "# Or this", "# comment", "$ ls", "a | b"),
    *("neo-go contract invokefunction -w <w> <c> pauseAll", "    curl https://x \\", "    -d '{", "kubectl get pods"),
    *("| Level | Name | Response Time | Examples |", "| --- | --- | --- | --- |", "| P1 | High | 1 h | x |", "| a |"),
    *("> quote", "> ```", "<!-- x", "-->", "<pre>", "---", "===", "[a]: http://x", "![i](u)", "\t", "\x0b", "\u2028"),
]


def outcome(document: str | bytes) -> Runbook | None:
    """Compiles; an error must be ours, with a position inside of the document; a runbook must make sense."""
    try:
        runbook = compile_runbook(document, "R.md")
    except ConfigurationInvalid as caught:
        error = caught
    else:
        check(runbook)
        return runbook
    line, column = error.data["line"], error.data["column"]
    assert isinstance(line, int)
    assert isinstance(column, int)
    newlines = document.count("\n") + document.count("\r") if isinstance(document, str) else len(document)
    assert 1 <= line <= newlines + 1
    assert column >= 1
    assert error.message.startswith(f"R.md:{line}:{column}: ")
    assert error.next_step
    return None


def check(runbook: Runbook) -> None:
    shown = runbook_json(runbook)
    assert json.loads(json.dumps(shown)) == shown
    assert len(digest(shown)) == 64
    assert runbook.emergencies
    assert len({emergency.slug for emergency in runbook.emergencies}) == len(runbook.emergencies)
    for emergency in runbook.emergencies:
        assert emergency.slug
        assert emergency.severity in {level.severity for level in runbook.severities}
        assert [step.number for step in emergency.steps] == list(range(1, len(emergency.steps) + 1))
        assert all(choice.alternatives for step in emergency.steps for choice in step.choices)
    for command in runbook.commands():
        assert (command.call is None) != (command.manual is None)
        assert command.text


@given(st.text(max_size=300))
@example("\ufeff")
def test_any_text(text: str) -> None:
    outcome(text)


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    outcome(content)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25))
def test_any_fragments_within_a_runbook(fragments: list[str]) -> None:
    outcome(small(after="\n".join(fragments)))
    outcome(small("\n".join(fragments)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["delete", "double", "swap", "insert", "indent", "cut"]),
            st.integers(0, len(LINES) - 1),
            st.sampled_from(FRAGMENTS),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_damage_to_the_real_runbook(damages: list[tuple[str, int, str]]) -> None:
    lines = list(LINES)
    for kind, wanted, fragment in damages:
        at = wanted % max(len(lines) - 1, 1)
        match kind:
            case "delete":
                del lines[at : at + 1]
            case "double":
                lines.insert(at, lines[at] if lines else "")
            case "swap":
                lines[at : at + 2] = reversed(lines[at : at + 2])
            case "insert":
                lines.insert(at, fragment)
            case "indent":
                lines[at : at + 1] = ["    " + line for line in lines[at : at + 1]]
            case _:
                lines[at : at + 1] = [line[: len(line) // 2] for line in lines[at : at + 1]]
    outcome("\n".join(lines))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(RUNBOOK_BYTES)))
def test_the_real_runbook_cut_off_anywhere(length: int) -> None:
    outcome(RUNBOOK_BYTES[:length])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(RUNBOOK_BYTES) - 1), st.integers(0, 255))
def test_the_real_runbook_with_another_byte(at: int, byte: int) -> None:
    outcome(RUNBOOK_BYTES[:at] + bytes([byte]) + RUNBOOK_BYTES[at + 1 :])


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8", exclude_characters="`~\0"), max_size=120))
def test_any_line_in_a_fence(text: str) -> None:
    outcome(small(f"1. **Pause**\n\n```bash\n{text}\n```\n"))


SAYING = [
    *("- {}", "* [ ] {}", "    - {}", "1. {}", "1. **{}** (5 minutes)", "   {}", "{}", "**Note:** {}", "**{}**"),
    *("> {}", "> - {}", "```bash\n{}\n```", "```bash\n# {}\n```", "```bash\nkubectl get {}\n```", "```json\n{}\n```"),
    *("```\n{}\n```", "    ```bash\n    # Or {}\n    curl https://{}\n    ```", "**Symptoms:** {}", "`{}`", "<{}>"),
    *("| a | b |\n| - | - |\n| x | {} |", "[{}](https://x.example)", "**Owner:** a\n**Team:** {}", "# {}\n\n{}"),
    *(
        "**Prevention:**\n- {}",
        "**Symptoms:**\n\n{}",
        "**Immediate Actions:**\n1. {}",
        "## Roles\n- {}",
        "<div>{}</div>",
    ),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SAYING), st.booleans()), max_size=12), st.booleans())
def test_what_compiles_loses_nothing_of_what_is_said(parts: list[tuple[str, bool]], within: bool) -> None:
    words = [f"word{number}x" for number in range(len(parts))]
    text = "".join(
        f"{form.format(word, word)}\n{'\n' if apart else ''}" for (form, apart), word in zip(parts, words, strict=True)
    )
    runbook = outcome(small(f"1. **Pause**\n\n{text}") if within else small(after=text))
    if runbook is not None:
        shown = json.dumps(runbook_json(runbook))
        assert [word for word in words if word not in shown] == []


def test_compiling_twice_gives_the_same() -> None:
    assert compile_runbook(RUNBOOK_BYTES, "R.md") == compile_runbook(RUNBOOK_BYTES, "R.md")
    assert outcome(SEVERITIES) is None

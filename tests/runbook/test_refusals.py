"""Documents that can't be compiled: each gets one message with its place and the mend, never a traceback."""

import os
from pathlib import Path

import pytest

from runbook.documents import RUNBOOK_PATH, RUNBOOK_TEXT, SEVERITIES, small
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.runbook.compile import RUNBOOK_BYTES_MAX, compile_runbook
from tocsin.runbook.source import read_runbook

TWO_COMMANDS = """\
1. **Pause**

    ```bash
    # Pause
    neo-go contract invokefunction -w <w> <a> pauseAll

    # Or one by one
    neo-go contract invokefunction -w <w> <b> setPaused true
    neo-go contract invokefunction -w <w> <c> setPaused true
    ```
"""


def refusal(document: str | bytes) -> ConfigurationInvalid:
    with pytest.raises(ConfigurationInvalid) as caught:
        compile_runbook(document, "R.md")
    return caught.value


def changed(old: str, new: str) -> str:
    assert RUNBOOK_TEXT.count(old) >= 1
    return RUNBOOK_TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("document", "line", "column", "said"),
    [
        # foreign documents
        (b"", 1, 1, "no emergencies found"),
        (b"# A letter\n\nDear friend", 1, 1, "no emergencies found"),
        (b"# A\n\nb\x00c", 3, 1, "binary file"),
        (b"\x7fELF\x02\x01\x01\x00", 1, 1, "binary file"),
        (b"# Caf\xe9\n", 1, 6, "not UTF-8"),
        (b"# \xc3\xa9t\xc3\xa9\n\nx \xff", 3, 3, "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", 1, 1, "not UTF-8"),
        ("x\nhalf \ud800", 2, 1, "half a character"),
        # Markdown that would swallow text
        (small("1. **Pause**\n\n    ```bash\n    run"), 18, 5, "never closed"),
        (small(after="<!-- hidden\n\n## Contacts\n"), 18, 1, "<!-- is never closed"),
        (small(after="- " * 40 + "deep"), 18, 1, "nested too deeply"),
        (small(after="| A | B |\n| - | - |\n| 1 | 2 | 3 |\n"), 20, 1, "3 cells, but the table has 2"),
        # severities
        (small().replace("15 min", "soon"), 7, 22, "no duration"),
        (small().replace("| P2 ", "| P9 "), 8, 3, "'P9' is no severity"),
        (small().replace("| P2 ", "| P0 "), 8, 3, "defined a second time"),
        (small().replace("Response Time", "Answer"), 5, 1, "no column \u201cResponse Time\u201d"),
        (small().replace("(P0)", "(P1)"), 12, 1, "P1 is not defined"),
        (small().replace("(P0)", "(P7)"), 12, 1, "P7 is no severity"),
        (small().replace(" (P0)", ""), 12, 1, "names no severity"),
        (small()[len(SEVERITIES) :], 4, 1, "P0 is not defined"),
        # emergencies and steps
        (small(after="### 2. Exploit (P2)\n\n**Immediate Actions:**\n\n1. Go\n"), 18, 1, "name of the one in line 12"),
        (small().replace("Immediate Actions", "Remarks"), 16, 4, "looks like a part of the procedure"),
        (small().replace("Immediate Actions", "Immediate Action"), 14, 1, "'Immediate Action' is no part"),
        (small("- **Pause**"), 12, 1, "has no steps"),
        (small("1.\n"), 16, 1, "empty"),
        (small("1. ```bash\n   run\n   ```\n"), 16, 4, "no title"),
        (small("1. **Pause** (5 minuts)\n"), 16, 4, "no duration"),
        (small("1. **Pause** (4-1 hours)\n"), 16, 4, "runs backwards"),
        (small("1. **Pause** (5 min) (6 min)\n"), 16, 4, "second budget"),
        (small("1. (5 min)\n"), 16, 4, "no title"),
        (small("```bash\nrun\n```\n\n1. **Pause**\n"), 16, 1, "belong to no step"),
        (small(after="**Escalation:**\n\n1. Call the bank\n"), 20, 4, "looks like a part of the procedure"),
        (small(after="**Then:**\n\n```bash\nrun\n```\n"), 20, 1, "looks like a part of the procedure"),
        (small(TWO_COMMANDS), 24, 5, "an alternative must be one command"),
        # tocsin blocks
        (small(before="\n**Symptoms:**\n\n- Funds\n\n  ```tocsin\n  rule: x\n  ```\n"), 18, 3, "`tocsin` blocks"),
        (small(after="~~~ {.tocsin}\n~~~\n"), 18, 1, "`tocsin` blocks"),
        # the real document, damaged
        (changed("| **P0** | Critical | 15 min ", "| **P0** | Critical | 15 mni "), 22, 23, "no duration"),
        (changed("- **Technical Lead (TL)**:", "- **Technical Lead**:"), 32, 3, "no role"),
        (changed("Lead (TL)", "Lead (IC)"), 32, 3, "two roles have the code IC"),
        (changed("(P1)", "(P4)"), 173, 1, "P4 is no severity"),
        (changed("- **Medium/Low:**", "- **Medium/None:**"), 296, 3, "'None' is no severity of this runbook"),
        (changed("- **High:** Slack", "- High Slack"), 295, 3, "no name, colon and value"),
        (changed("- P1: Within 30 minutes", "- P1: Within reason"), 301, 3, "no duration"),
        (changed("- P1: Within", "- P0: Within"), 301, 3, "P0 has a second response time"),
        (changed("- Configuration: `backups", "- `backups"), 349, 3, "no name, colon and value"),
        (changed("2025-04-23", "2025-04-31"), 402, 1, "'2025-04-31' is no date"),
        (changed("| 2025-01-23 |", "| yesterday  |"), 410, 3, "'yesterday' is no date"),
        (changed("(15 minutes)", "(15 minuets)"), 63, 4, "no duration"),
    ],
)
def test_refusals_say_where_and_what(document: str | bytes, line: int, column: int, said: str) -> None:
    error = refusal(document)
    assert said in error.message
    assert error.message.startswith(f"R.md:{line}:{column}: ")
    assert error.data == {"file": "R.md", "line": line, "column": column}
    assert error.next_step


def test_several_commands_are_refused_only_where_an_or_makes_them_ambiguous() -> None:
    compile_runbook(small(TWO_COMMANDS.replace("# Or one", "# Then one")), "R.md")


def test_a_document_that_is_too_large_is_refused() -> None:
    assert "larger than 8 MiB" in refusal(b"#" * (RUNBOOK_BYTES_MAX + 1)).message


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my runbook.md"
    path.write_text(small())
    assert read_runbook(path).file == str(path)
    assert read_runbook(RUNBOOK_PATH).emergencies


def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, why in ((tmp_path / "none.md", "no such file"), (tmp_path, "no regular file"), (pipe, "no regular file")):
        with pytest.raises(ConfigurationInvalid, match=why) as caught:
            read_runbook(path)
        assert caught.value.data == {"file": str(path)}


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.md"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigurationInvalid, match="larger than 8 MiB"):
        read_runbook(path)

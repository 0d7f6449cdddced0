"""Runbooks that are written a little differently mean the same, and what has no place is kept as a remark."""

from datetime import timedelta

import pytest

from runbook.documents import RUNBOOK_BYTES, RUNBOOK_TEXT, sha256, small
from tocsin.runbook.as_json import runbook_json
from tocsin.runbook.compile import compile_runbook
from tocsin.runbook.model import Budget, Runbook, Severity, Step


def compiled(document: str) -> Runbook:
    return compile_runbook(document, "R.md")


def step(text: str) -> Step:
    (only,) = compiled(small(f"1. {text}\n")).emergencies[0].steps
    return only


def meaning(document: str | bytes) -> object:
    whole = runbook_json(compile_runbook(document, "R.md"))
    del whole["hash"]
    return whole


@pytest.mark.parametrize(
    "document",
    [
        RUNBOOK_TEXT.replace("\n", "\r\n"),
        RUNBOOK_TEXT.replace("\n", "\r"),
        b"\xef\xbb\xbf" + RUNBOOK_BYTES,
        RUNBOOK_TEXT.replace("(P0)", "(SEV0)").replace("**P0**", "**SEV-0**"),
        RUNBOOK_TEXT.replace("(P1)", "(p1)"),
        RUNBOOK_TEXT.replace("**Symptoms:**", "**Symptoms**:"),
        RUNBOOK_TEXT.replace("**Symptoms:**", "**SYMPTOMS**"),
        RUNBOOK_TEXT.replace("**Symptoms:**", "Symptoms:"),
        RUNBOOK_TEXT.replace("**Post-Incident:**", "**Post Incident:**"),
        RUNBOOK_TEXT.replace("**Prevention:**", "#### Prevention"),
        RUNBOOK_TEXT.replace("```bash", "```sh"),
    ],
    ids=["crlf", "cr", "bom", "sev", "case", "colon", "upper", "plain", "hyphen", "heading", "sh"],
)
def test_the_real_runbook_in_another_form_means_the_same(document: str | bytes) -> None:
    assert meaning(document) == meaning(RUNBOOK_BYTES)


def test_the_hash_is_that_of_the_bytes() -> None:
    with_mark = b"\xef\xbb\xbf" + RUNBOOK_BYTES
    assert compile_runbook(with_mark, "R.md").hash == sha256(with_mark)
    assert compiled(RUNBOOK_TEXT).hash == sha256(RUNBOOK_BYTES)


@pytest.mark.parametrize(
    ("text", "title", "minutes", "condition", "items"),
    [
        ("**Pause** (5 minutes)", "Pause", 5, None, []),
        ("Pause (5 minutes)", "Pause", 5, None, []),
        ("**Pause (5 minutes)**", "Pause", 5, None, []),
        ("**Pause** (5 min, if critical)", "Pause", 5, "if critical", []),
        ("**Pause** (if critical) (5 min)", "Pause", 5, "if critical", []),
        ("**Pause** (only on main net): tell support", "Pause", None, "only on main net", ["tell support"]),
        ("**Pause:** tell support", "Pause", None, None, ["tell support"]),
        ("**Pause** (all apps)", "Pause", None, None, ["(all apps)"]),
        ("Pause (all apps) (~5 min)", "Pause (all apps)", 5, None, []),
        ("Pause <app> and `hub`", "Pause <app> and hub", None, None, []),
    ],
)
def test_titles_of_steps(text: str, title: str, minutes: int | None, condition: str | None, items: list[str]) -> None:
    found = step(text)
    budget = None if minutes is None else Budget(timedelta(minutes=minutes), timedelta(minutes=minutes))
    assert (found.title, found.budget, found.condition) == (title, budget, condition)
    assert [item.text for item in found.items] == items


def test_what_stands_in_a_step_is_kept_in_order() -> None:
    found = step(
        "**Look**\n   - [ ] first\n     - nested\n   1. second\n\n   A note with [a link](https://x.example).\n\n"
        "   > quoted\n\n   ```sql\n   SELECT 1\n   ```\n\n   | A | B |\n   | - | - |\n   | 1 | 2 |\n"
    )
    assert [item.text for item in found.items] == [
        "first",
        "nested",
        "second",
        "A note with a link (https://x.example).",
        "quoted",
        "SELECT 1",
        "1 | 2",
    ]


def test_a_fence_at_the_margin_belongs_to_the_step_before_it() -> None:
    first, second = compiled(small("1. **A**\n\n```bash\nkubectl get pods\n```\n\n2. **B**\n")).emergencies[0].steps
    assert [choice.alternatives[0].text for choice in first.choices] == ["kubectl get pods"]
    assert (second.number, second.choices) == (2, ())


def test_an_alternative_may_stand_in_a_fence_of_its_own() -> None:
    fences = "```bash\n   kubectl get pods\n   ```\n\n   ```bash\n   # Or ask\n   curl https://x\n   ```\n"
    (choice,) = step(f"**A**\n\n   {fences}").choices
    assert [command.text for command in choice.alternatives] == ["kubectl get pods", "curl https://x"]


def test_commands_without_or_are_choices_of_their_own() -> None:
    choices = step("**A**\n\n   ```bash\n   kubectl get pods\n   curl https://x\n   ```\n").choices
    assert [len(choice.alternatives) for choice in choices] == [1, 1]


def test_what_is_commented_out_is_left_out() -> None:
    runbook = compiled(
        small(after="<!-- 2. **Old step**\n\n```bash\nneo-go contract invokefunction x pauseAll\n``` -->\n")
    )
    assert list(runbook.commands()) == []
    assert runbook.remarks == ()


def test_what_has_no_place_becomes_a_remark_or_a_command_elsewhere() -> None:
    runbook = compiled(
        small(
            before="\nAn introduction.\n\n**Owner:** the contract team\n",
            after="## Tools\n\nUse these.\n\n```bash\n# List\nkubectl get pods\n\n# Ask around\n```\n",
        )
    )
    assert [remark.text for remark in runbook.remarks] == [
        "An introduction.",
        "Owner: the contract team",
        "Use these.",
        "Ask around",
    ]
    assert [(command.text, command.comment) for command in runbook.elsewhere] == [("kubectl get pods", "List")]
    assert list(runbook.commands()) == list(runbook.elsewhere)


def test_a_title_of_the_document_may_end_in_a_severity() -> None:
    runbook = compiled(small().replace("# Small Runbook", "# Payments (P0)"))
    assert [emergency.title for emergency in runbook.emergencies] == ["Exploit"]


def test_words_of_warning_in_bold_do_not_end_the_procedure() -> None:
    steps = compiled(small("1. **A**\n\n**Be quick!**\n\n2. **B**\n")).emergencies[0].steps
    assert [(s.title, [item.text for item in s.items]) for s in steps] == [("A", ["Be quick!"]), ("B", [])]


def test_severities_may_be_named_in_any_usual_way() -> None:
    after = "## Channels\n\n- P0 and Medium: Pager\n- SEV2: Mail (paged)\n"
    assert [(c.severities, c.channel, c.paged) for c in compiled(small(after=after)).channels] == [
        ((Severity.P0, Severity.P2), "Pager", False),
        ((Severity.P2,), "Mail", True),
    ]


def test_a_title_in_another_script_has_a_name_too() -> None:
    runbook = compiled(small().replace("Exploit", "Подвиг d'été"))
    assert runbook.emergencies[0].slug == "подвиг-d-ete"

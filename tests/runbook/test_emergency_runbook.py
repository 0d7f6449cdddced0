"""Everything that EMERGENCY_RUNBOOK.md says has its place in the compiled runbook."""

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from runbook.documents import RUNBOOK_BYTES, RUNBOOK_SHA256, RUNBOOK_TEXT
from tocsin.domain.actions import SourcePosition
from tocsin.domain.canonical import Json
from tocsin.runbook.as_json import emergency_json, runbook_json
from tocsin.runbook.compile import compile_runbook
from tocsin.runbook.durations import time_span
from tocsin.runbook.model import Budget, Emergency, Runbook, Severity


@pytest.fixture(scope="module")
def runbook() -> Runbook:
    return compile_runbook(RUNBOOK_BYTES, "E.md")


def emergency(runbook: Runbook, name: str) -> Emergency:
    found = runbook.emergency(name)
    assert found is not None
    return found


def minutes(least: int, most: int | None = None) -> Budget:
    return Budget(timedelta(minutes=least), timedelta(minutes=least if most is None else most))


def test_imprint(runbook: Runbook) -> None:
    assert (runbook.file, runbook.hash, runbook.title) == ("E.md", RUNBOOK_SHA256, "Emergency Runbook")
    assert runbook.purpose.startswith("This runbook provides step-by-step procedures")
    assert (runbook.version, runbook.last_updated, runbook.next_review) == (
        "1.0.0",
        date(2025, 1, 23),
        date(2025, 4, 23),
    )
    (change,) = runbook.change_log
    assert (change.date, change.version, change.changes) == (date(2025, 1, 23), "1.0.0", "Initial version")


def test_nothing_is_left_without_a_place(runbook: Runbook) -> None:
    assert runbook.remarks == ()
    assert runbook.elsewhere == ()


def test_severities(runbook: Runbook) -> None:
    assert [(s.severity, s.name, s.respond_within) for s in runbook.severities] == [
        (Severity.P0, "Critical", timedelta(minutes=15)),
        (Severity.P1, "High", timedelta(hours=1)),
        (Severity.P2, "Medium", timedelta(hours=4)),
        (Severity.P3, "Low", timedelta(hours=24)),
    ]
    assert runbook.severities[0].examples == ("Platform down", "funds at risk", "security breach")
    assert runbook.severities[0].position == SourcePosition("E.md", 22, 3)


def test_roles_and_activation(runbook: Runbook) -> None:
    assert [(role.code, role.name, role.duty) for role in runbook.roles] == [
        ("IC", "Incident Commander", "Overall incident management"),
        ("TL", "Technical Lead", "Technical investigation and resolution"),
        ("CL", "Communications Lead", "External and stakeholder communication"),
    ]
    assert runbook.activation == "Any P0 incident automatically activates the ICS."


def test_the_six_emergencies(runbook: Runbook) -> None:
    assert [
        (e.slug, e.severity, len(e.symptoms), len(e.steps), len(e.prevention), len(e.post_incident), e.position.line)
        for e in runbook.emergencies
    ] == [
        ("smart-contract-exploit", Severity.P0, 3, 4, 0, 3, 41),
        ("rpc-node-failure", Severity.P0, 3, 3, 2, 0, 86),
        ("gas-bank-depletion", Severity.P0, 3, 3, 3, 0, 129),
        ("tee-service-failure", Severity.P1, 3, 3, 3, 0, 173),
        ("database-connection-issues", Severity.P1, 3, 3, 3, 0, 212),
        ("payment-hub-disruption", Severity.P0, 3, 3, 0, 0, 249),
    ]
    assert emergency(runbook, "2").title == "RPC Node Failure"
    assert emergency(runbook, "RPC node failure") is emergency(runbook, "rpc-node-failure")
    assert runbook.emergency("7") is None


def test_symptoms_prevention_and_post_incident(runbook: Runbook) -> None:
    exploit, rpc = emergency(runbook, "smart-contract-exploit"), emergency(runbook, "rpc-node-failure")
    assert [symptom.text for symptom in exploit.symptoms] == [
        "Unusual fund movements",
        "Unexpected contract state changes",
        "Security alerts triggered",
    ]
    assert exploit.symptoms[0].position == SourcePosition("E.md", 45, 3)
    assert exploit.post_incident[2].text == "Improve monitoring/thresholds"
    assert rpc.symptoms[2].text == '"Network unreachable" errors'
    assert rpc.prevention[1].text == "Monitor RPC health with alerts"


def test_steps_have_budgets_and_ranges(runbook: Runbook) -> None:
    steps = emergency(runbook, "smart-contract-exploit").steps
    assert [(step.number, step.title, step.budget, step.position.line) for step in steps] == [
        (1, "Pause Contracts", minutes(5), 51),
        (2, "Investigate", minutes(15), 63),
        (3, "Containment", minutes(30), 68),
        (4, "Recovery", minutes(60, 240), 73),
    ]
    assert [item.text for item in steps[1].items] == [
        "Review recent transactions",
        "Check contract event logs",
        "Analyze attacker behavior",
    ]


def test_conditions(runbook: Runbook) -> None:
    conditions = {
        (e.slug, step.number): step.condition for e in runbook.emergencies for step in e.steps if step.condition
    }
    assert conditions == {("tee-service-failure", 2): "if available", ("payment-hub-disruption", 2): "if critical"}


def test_alternatives_are_one_choice(runbook: Runbook) -> None:
    alternatives = {
        (e.slug, step.number, step.title): [[c.comment for c in choice.alternatives] for choice in step.choices]
        for e in runbook.emergencies
        for step in e.steps
        if step.choices
    }
    assert alternatives == {
        ("smart-contract-exploit", 1, "Pause Contracts"): [
            ["Emergency pause via PauseRegistry", "Or individual contract pause"]
        ],
        ("rpc-node-failure", 1, "Check RPC Health"): [["Test RPC connectivity"], ["Check neo-go CLI connectivity"]],
        ("rpc-node-failure", 2, "Failover to Backup RPC"): [
            ["Update config to use backup RPC", "Or restart services with new RPC"]
        ],
        ("gas-bank-depletion", 1, "Check Gas Balance"): [["Query platform GAS balance"]],
        ("gas-bank-depletion", 2, "Refill Gas Bank"): [["Transfer GAS to GasBank", "Or use TxProxy service"]],
        ("tee-service-failure", 1, "Check TEE Status"): [["Check MarbleRun coordinator"], ["Check service health"]],
        ("tee-service-failure", 3, "Restart TEE Services"): [["Restart marble services"]],
        ("database-connection-issues", 1, "Check Database Status"): [
            ["Check Supabase status"],
            ["Review database metrics"],
        ],
        ("payment-hub-disruption", 1, "Check Payment Hub Status"): [["Check if contract is paused"]],
        ("payment-hub-disruption", 2, "Pause New Payments"): [
            ["Via PauseRegistry", "Or disable PaymentHub directly"],
        ],
    }


def test_an_instruction_in_a_comment_becomes_a_checklist_item(runbook: Runbook) -> None:
    (item,) = emergency(runbook, "payment-hub-disruption").steps[0].items
    assert item.text == "Check recent payment events (via indexer or direct RPC)"
    assert item.position == SourcePosition("E.md", 265, 5)


def test_channels_and_response_times(runbook: Runbook) -> None:
    assert [(c.label, c.severities, c.channel, c.paged) for c in runbook.channels] == [
        ("Critical", (Severity.P0,), "Slack #incidents-critical", True),
        ("High", (Severity.P1,), "Slack #incidents-high", False),
        ("Medium/Low", (Severity.P2, Severity.P3), "Slack #incidents", False),
    ]
    assert {time.severity: time.within for time in runbook.announce_times} == {
        Severity.P0: timedelta(minutes=5),
        Severity.P1: timedelta(minutes=30),
        Severity.P2: timedelta(hours=2),
        Severity.P3: timedelta(hours=2),
    }


def test_external_communication_and_template(runbook: Runbook) -> None:
    assert [(rule.audience, rule.text) for rule in runbook.audiences] == [
        ("Users", "In-app banners for platform-wide issues"),
        ("Users", "Status page updates (https://status.example.com)"),
        ("Stakeholders", "Email alerts for P0/P1 incidents"),
        ("Stakeholders", "Daily summary for P2 incidents"),
    ]
    (template,) = runbook.templates
    assert template.slots == ("timestamp", "30 minutes or sooner")
    assert dict(template.fields) == {
        "Subject": "[P0] Payment Service Disruption - Action Required",
        "Severity": "Critical",
        "Status": "Investigating",
        "Impact": "Users cannot process payments",
        "Started": "<timestamp>",
        "ETA": "Unknown",
        "Next Update": "<30 minutes or sooner>",
    }


def test_recovery(runbook: Runbook) -> None:
    assert [item.text for item in runbook.recovery_checklist] == [
        "Root cause identified",
        "Fix implemented and tested",
        "Services restarted",
        "Monitoring shows normal operation",
        "Sample of transactions verified",
        "Post-incident review scheduled",
    ]
    assert {location.what: location.path for location in runbook.backup_locations} == {
        "Contract state snapshots": "backups/contracts/",
        "Database dumps": "backups/database/",
        "Configuration": "backups/config/",
    }
    assert [command.comment for command in runbook.restore] == [
        "Restore contract state (if needed)",
        "Restore from database backup",
    ]


def test_appendix(runbook: Runbook) -> None:
    assert [command.comment for command in runbook.quick_reference] == [
        "Emergency pause",
        "Check contract paused status",
        "Get platform GAS balance",
        "Restart all marble services",
        "Check RPC health",
        "View service logs",
    ]
    assert [(contact.service, contact.address, contact.hours) for contact in runbook.contacts] == [
        ("Platform Operations", "ops@example.com", "24/7"),
        ("Smart Contract Team", "contracts@example.com", "Business hours"),
        ("Security Team", "security@example.com", "24/7"),
        ("Infrastructure", "infra@example.com", "Business hours"),
    ]


def test_one_emergency_as_json_is_its_part_of_the_whole(runbook: Runbook) -> None:
    whole = json.loads(json.dumps(runbook_json(runbook)))
    exploit = json.loads(json.dumps(emergency_json(runbook.emergencies[0])))
    assert exploit == whole["emergencies"][0]
    assert exploit["steps"][3]["budget"] == {"least_s": 3600, "most_s": 14400}


# Coverage: the document, line by line, against the JSON.

_NOT_CONTENT = re.compile(
    r"""
      \s*                                   # blank
    | \#{1,3}\ (?!\d).*                     # headings except those of emergencies
    | ---                                   # rules
    | \d\.\ \[[^\]]+\]\(\#[a-z-]+\)         # the table of contents
    | \|[ |-]+\|                            # the line under a table's head
    | \|\ (?:Level|Service|Date)\ .*        # the head itself
    | \*\*(?:Roles|Symptoms|Immediate\ Actions|Prevention|Post-Incident|Channels|Response\ Times
          |Communication\ Templates|Backup\ Locations|Restore\ Procedures|Users|Stakeholders):\*\*
    """,
    re.VERBOSE,
)
_LABELS = ("**Activation:**", "**Document Version:**", "**Last Updated:**", "**Next Review:**")


def content_lines() -> Iterator[tuple[int, str]]:
    """Every line of the document, outside of fences, that says something, with its number."""
    in_fence = False
    for number, line in enumerate(RUNBOOK_TEXT.split("\n"), start=1):
        if line.strip().startswith("```"):
            in_fence = not in_fence
        elif not in_fence and not _NOT_CONTENT.fullmatch(line):
            yield number, line.strip()


def objects_by_line(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(value, dict):
        if "line" in value:
            yield value["line"], value
        for item in value.values():
            yield from objects_by_line(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects_by_line(item)


def leaves_of(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves_of(item)
    else:
        yield str(value)


def pieces_of(line: str) -> Iterator[str]:
    """What a line says, in the pieces in which the JSON may hold it: markup off, tables and pairs apart."""
    for label in _LABELS:
        line = line.removeprefix(label)
    text = re.sub(r"^(?:- \[ \]|-|\d\.|###(?: \d\.)?)\s+", "", line.strip()).replace("**", "").replace("`", "")
    for piece in re.split(r"\s*(?:\||:\s|, |\((?!http)|\)|/(?=P\d|Low))\s*", text):
        if piece and piece != ":":
            yield piece


def seconds_in(piece: str) -> set[str]:
    try:
        span = time_span(piece)
    except ValueError:
        return set()
    return {str(int(span.least.total_seconds())), str(int(span.most.total_seconds()))}


def test_every_line_outside_of_fences_is_in_the_json(runbook: Runbook) -> None:
    whole = runbook_json(runbook)
    by_line: dict[int, list[str]] = {}
    for number, item in objects_by_line(whole):
        by_line.setdefault(number, []).extend(leaves_of(item))
    document_wide = [str(whole[key]) for key in ("purpose", "activation", "version", "last_updated", "next_review")]
    missing: list[tuple[int, str]] = []
    for number, line in content_lines():
        said = [*by_line.get(number, []), *document_wide]
        missing.extend(
            (number, piece)
            for piece in pieces_of(line)
            if not any(piece in text for text in said)
            and not seconds_in(piece) & set(said)
            and not (piece == "paged" and "True" in said)
        )
    assert missing == []


def test_the_coverage_test_looks_at_the_whole_document() -> None:
    lines = [line for _, line in content_lines()]
    assert len(lines) == 119
    assert sum(line.startswith("###") for line in lines) == 6
    assert sum(line.startswith("- [ ]") for line in lines) == 6
    assert sum(line.startswith("|") for line in lines) == 4 + 4 + 1


def test_every_line_inside_of_fences_is_in_the_json(runbook: Runbook) -> None:
    said = " ".join(" ".join(leaves_of(runbook_json(runbook))).split())
    in_fence = False
    missing: list[tuple[int, str]] = []
    for number, line in enumerate(RUNBOOK_TEXT.split("\n"), start=1):
        text = line.strip()
        if text.startswith("```"):
            in_fence = not in_fence
        elif in_fence and (content := text.removeprefix("# ").removesuffix("\\").strip()) and content not in said:
            missing.append((number, content))
    assert missing == []

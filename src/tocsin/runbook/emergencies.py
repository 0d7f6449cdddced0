"""The emergencies: which headings are one, and what stands in the parts below each.

A heading that ends in a severity ("Smart Contract Exploit (P0)") is an emergency. Inside of one nothing that looks like
a procedure is passed over: numbered steps or commands under an unknown name are refused.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from tocsin.runbook.blocks import Fence, ListBlock, leaves
from tocsin.runbook.document import Document
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import ChecklistItem, Emergency, Severity, SeverityLevel, Step, Symptom
from tocsin.runbook.outline import Section, title_key
from tocsin.runbook.severities import severity_of
from tocsin.runbook.shell import is_shell
from tocsin.runbook.steps import read_steps

SYMPTOMS, ACTIONS, PREVENTION, POST_INCIDENT = "symptoms", "immediate actions", "prevention", "post incident"
PARTS = frozenset({SYMPTOMS, ACTIONS, PREVENTION, POST_INCIDENT})

_HEADING = re.compile(r"(?:[0-9]+[.)]\s*)?(?P<title>.*?)\s*\((?P<severity>(?:P|SEV[- ]?)[0-9]+)\)", re.IGNORECASE)
_SIMILAR = 0.8  # of difflib's ratio: a slip of the pen, not another word


def read_emergencies(document: Document, levels: Sequence[SeverityLevel]) -> tuple[Emergency, ...]:
    """The emergencies, in the order of the document; `levels` are the severities that it defines.

    Raises:
        ConfigurationInvalid: there is none, two have one name, or one is not understood.
    """
    sections = _find(document.root)
    for section in sections:
        document.claim_tree(section)
    inside = {id(below) for section in sections for below in section.walk()}
    for section in document.root.walk():
        if id(section) not in inside:
            _refuse_procedure_outside(section)
    if not sections:
        raise invalid(
            document.root.position,
            "no emergencies found: this is no runbook, or its headings name no severity",
            "give each emergency a heading such as “### 1. Smart Contract Exploit (P0)”",
        )
    emergencies: dict[str, Emergency] = {}
    for section in sections:
        emergency = _read(document, section, levels)
        if other := emergencies.get(emergency.slug):
            raise invalid(
                section.position,
                f"this emergency has the name of the one in line {other.position.line}: {emergency.slug}",
                "give each emergency a title of its own",
            )
        emergencies[emergency.slug] = emergency
    return tuple(emergencies.values())


def slug_of(title: str) -> str:
    """The name of an emergency in commands: "Smart Contract Exploit" gives "smart-contract-exploit"."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    return re.sub(r"[\W_]+", "-", "".join(c for c in letters if not unicodedata.combining(c))).strip("-")


def _find(section: Section) -> list[Section]:
    """The innermost headings that end in a severity (a document's own title may, too)."""
    found = [emergency for child in section.children for emergency in _find(child)]
    if not found and not section.is_label and _HEADING.fullmatch(section.title):
        return [section]
    return found


def _refuse_procedure_outside(section: Section) -> None:
    if any(title_key(child.title) == ACTIONS for child in section.children):
        raise invalid(
            section.position,
            f"{section.title or 'the document'!r} has immediate actions but names no severity",
            "end its heading with one: “### 1. Smart Contract Exploit (P0)”",
        )


@dataclass(slots=True)
class _Parts:
    symptoms: list[Symptom] = field(default_factory=list[Symptom])
    steps: list[Step] = field(default_factory=list[Step])
    prevention: list[ChecklistItem] = field(default_factory=list[ChecklistItem])
    post_incident: list[ChecklistItem] = field(default_factory=list[ChecklistItem])


def _read(document: Document, section: Section, levels: Sequence[SeverityLevel]) -> Emergency:
    title, severity = _heading(section, levels)
    parts = _Parts()
    for part in section.walk():
        match title_key(part.title):
            case "symptoms":
                parts.symptoms.extend(Symptom(item.text, item.position) for item in document.items(part.blocks))
            case "immediate actions":
                parts.steps.extend(read_steps(document, part.blocks, len(parts.steps) + 1))
            case "prevention":
                parts.prevention.extend(document.items(part.blocks))
            case "post incident":
                parts.post_incident.extend(document.items(part.blocks))
            case _:
                _check_unknown(part, section)
                document.leave_section(part)
    if not parts.steps:
        raise invalid(
            section.position,
            f"the emergency {title!r} has no steps",
            "write “**Immediate Actions:**” and a numbered list below it",
        )
    return Emergency(
        slug_of(title),
        title,
        severity,
        tuple(parts.symptoms),
        tuple(parts.steps),
        tuple(parts.prevention),
        tuple(parts.post_incident),
        section.position,
    )


def _heading(section: Section, levels: Sequence[SeverityLevel]) -> tuple[str, Severity]:
    match = _HEADING.fullmatch(section.title)
    assert match is not None, "only such sections are found"
    title, code = match["title"].strip(), match["severity"]
    severity = severity_of(code)
    if severity is None:
        raise invalid(section.position, f"{code} is no severity", "write P0 to P3 (or SEV0 to SEV3)")
    if severity not in (level.severity for level in levels):
        raise invalid(
            section.position,
            f"severity {severity} is not defined in this runbook",
            "add it to the table under “Severity Levels”, with its response time",
        )
    if not slug_of(title):
        raise invalid(section.position, "this emergency has no title", "write a title before the severity")
    return title, severity


def _check_unknown(part: Section, emergency: Section) -> None:
    """Refuses what is probably part of the procedure, but stands under a name that means nothing."""
    if part is not emergency and (close := difflib.get_close_matches(title_key(part.title), PARTS, 1, _SIMILAR)):
        raise invalid(
            part.position, f"{part.title!r} is no part of an emergency", f"did you mean “{close[0].title()}”?"
        )
    for block in part.blocks:
        for leaf in leaves([block]):
            if (isinstance(block, ListBlock) and block.ordered) or (isinstance(leaf, Fence) and is_shell(leaf)):
                raise invalid(
                    leaf.position,
                    f"this looks like a part of the procedure, but stands under {part.title!r}",
                    "put it into a numbered step under “Immediate Actions”, or write it as plain bullets",
                )

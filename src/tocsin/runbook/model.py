"""The compiled runbook: everything the document says, as frozen values that know where they stand in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from tocsin.domain.actions import ActionCall, SourcePosition


class Severity(StrEnum):
    """P0 (critical) to P3 (low); SEV0 to SEV3 are read as the same."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


@dataclass(frozen=True, slots=True)
class Budget:
    """A time budget. A single value has `least == most`; a range ("1-4 hours") is breached at its upper end."""

    least: timedelta
    most: timedelta


@dataclass(frozen=True, slots=True)
class SeverityLevel:
    severity: Severity
    name: str
    respond_within: timedelta
    examples: tuple[str, ...]
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role of the incident command system: `code` "IC", `name` "Incident Commander"."""

    code: str
    name: str
    duty: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Symptom:
    text: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    text: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Command:
    """One logical command line: continuations joined, comments left out (kept in `comment`).

    Exactly one of `call` and `manual` is set: the action it was recognised as, or the reason why a person must do it.
    """

    text: str
    comment: str | None
    call: ActionCall | None
    manual: str | None
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Choice:
    """Commands of which exactly one runs: the first, or one that the runbook introduces by "# Or …"."""

    alternatives: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a procedure. `number` counts from 1; `condition` is the text in "(if critical)"."""

    number: int
    title: str
    budget: Budget | None
    condition: str | None
    choices: tuple[Choice, ...]
    items: tuple[ChecklistItem, ...]
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Emergency:
    """One kind of emergency. `slug` names it in commands ("smart-contract-exploit")."""

    slug: str
    title: str
    severity: Severity
    symptoms: tuple[Symptom, ...]
    steps: tuple[Step, ...]
    prevention: tuple[ChecklistItem, ...]
    post_incident: tuple[ChecklistItem, ...]
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Channel:
    """Where incidents of these severities are announced: "Slack #incidents-critical", paged or not."""

    label: str
    severities: tuple[Severity, ...]
    channel: str
    paged: bool
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class AnnounceTime:
    """How soon an incident is acknowledged and first told of (the channel table, not the severity table)."""

    severity: Severity
    within: timedelta
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class AudienceRule:
    """What an outside audience ("Users", "Stakeholders") is promised."""

    audience: str
    text: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """The runbook's example message. `slots` are its `<…>` parts and `fields` its "Name: value" lines, in order.

    The literal text is an example and is never sent.
    """

    text: str
    slots: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class BackupLocation:
    what: str
    path: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Contact:
    service: str
    address: str
    hours: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Change:
    date: date | None
    version: str
    changes: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Remark:
    """A piece of the document that no section known to Tocsin takes up; kept so that nothing is dropped in silence."""

    text: str
    position: SourcePosition


@dataclass(frozen=True, slots=True)
class Runbook:
    """The whole document. `hash` is the SHA-256 of its bytes; what runs is pinned to it.

    `remarks` and `elsewhere` hold the text and the commands under headings that mean nothing to Tocsin.
    """

    file: str
    hash: str
    title: str
    purpose: str
    severities: tuple[SeverityLevel, ...]
    roles: tuple[RoleDefinition, ...]
    activation: str | None
    emergencies: tuple[Emergency, ...]
    channels: tuple[Channel, ...]
    announce_times: tuple[AnnounceTime, ...]
    audiences: tuple[AudienceRule, ...]
    templates: tuple[MessageTemplate, ...]
    recovery_checklist: tuple[ChecklistItem, ...]
    backup_locations: tuple[BackupLocation, ...]
    restore: tuple[Command, ...]
    quick_reference: tuple[Command, ...]
    contacts: tuple[Contact, ...]
    version: str | None
    last_updated: date | None
    next_review: date | None
    change_log: tuple[Change, ...]
    elsewhere: tuple[Command, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def emergency(self, name: str) -> Emergency | None:
        """The emergency with this slug, number or title (case does not count), or None."""
        wanted = name.strip().casefold()
        for number, emergency in enumerate(self.emergencies, start=1):
            if wanted in (emergency.slug, str(number), emergency.title.casefold()):
                return emergency
        return None

    def commands(self) -> Iterator[Command]:
        """Every command line of the document, in the order of the document."""
        steps = (step for emergency in self.emergencies for step in emergency.steps)
        of_steps = (command for step in steps for choice in step.choices for command in choice.alternatives)
        everywhere = (*of_steps, *self.restore, *self.quick_reference, *self.elsewhere)
        yield from sorted(everywhere, key=lambda command: command.position)

"""The compiled runbook as JSON, the form that scripts read.

Durations are whole seconds (`_s`), dates ISO 8601. Whatever has a place in the document carries `file`, `line` and
`column`. Every command is an object with `command` and either `action` (with `arguments`) or `manual` (the reason).
"""

from collections.abc import Sequence
from datetime import date, timedelta

from tocsin.domain.actions import SourcePosition
from tocsin.domain.canonical import Json
from tocsin.runbook.model import Budget, ChecklistItem, Command, Emergency, Remark, Runbook, Step, Symptom


def runbook_json(runbook: Runbook) -> dict[str, Json]:
    """The whole runbook as a JSON object."""
    return {
        "file": runbook.file,
        "hash": runbook.hash,
        "title": runbook.title,
        "purpose": runbook.purpose,
        "version": runbook.version,
        "last_updated": _date(runbook.last_updated),
        "next_review": _date(runbook.next_review),
        "severities": [
            {
                "severity": level.severity.value,
                "name": level.name,
                "respond_within_s": _seconds(level.respond_within),
                "examples": list(level.examples),
                **_where(level.position),
            }
            for level in runbook.severities
        ],
        "roles": [
            {"code": role.code, "name": role.name, "duty": role.duty, **_where(role.position)} for role in runbook.roles
        ],
        "activation": runbook.activation,
        "emergencies": [emergency_json(emergency) for emergency in runbook.emergencies],
        "communication": _communication(runbook),
        "recovery": {
            "checklist": _texts(runbook.recovery_checklist),
            "backup_locations": [
                {"what": location.what, "path": location.path, **_where(location.position)}
                for location in runbook.backup_locations
            ],
            "restore": [_command(command) for command in runbook.restore],
        },
        "quick_reference": [_command(command) for command in runbook.quick_reference],
        "contacts": [
            {
                "service": contact.service,
                "contact": contact.address,
                "hours": contact.hours,
                **_where(contact.position),
            }
            for contact in runbook.contacts
        ],
        "change_log": [
            {
                "date": _date(change.date),
                "version": change.version,
                "changes": change.changes,
                **_where(change.position),
            }
            for change in runbook.change_log
        ],
        "elsewhere": [_command(command) for command in runbook.elsewhere],
        "remarks": _texts(runbook.remarks),
    }


def emergency_json(emergency: Emergency) -> dict[str, Json]:
    """One emergency as a JSON object."""
    return {
        "slug": emergency.slug,
        "title": emergency.title,
        "severity": emergency.severity.value,
        "symptoms": _texts(emergency.symptoms),
        "steps": [_step(step) for step in emergency.steps],
        "prevention": _texts(emergency.prevention),
        "post_incident": _texts(emergency.post_incident),
        **_where(emergency.position),
    }


def _communication(runbook: Runbook) -> dict[str, Json]:
    return {
        "channels": [
            {
                "label": channel.label,
                "severities": [severity.value for severity in channel.severities],
                "channel": channel.channel,
                "paged": channel.paged,
                **_where(channel.position),
            }
            for channel in runbook.channels
        ],
        "response_times": [
            {"severity": time.severity.value, "within_s": _seconds(time.within), **_where(time.position)}
            for time in runbook.announce_times
        ],
        "audiences": [
            {"audience": rule.audience, "text": rule.text, **_where(rule.position)} for rule in runbook.audiences
        ],
        "templates": [
            {
                "text": template.text,
                "slots": list(template.slots),
                "fields": [{"name": name, "value": value} for name, value in template.fields],
                **_where(template.position),
            }
            for template in runbook.templates
        ],
    }


def _step(step: Step) -> dict[str, Json]:
    return {
        "number": step.number,
        "title": step.title,
        "budget": _budget(step.budget),
        "condition": step.condition,
        "choices": [{"alternatives": [_command(each) for each in choice.alternatives]} for choice in step.choices],
        "checklist": _texts(step.items),
        **_where(step.position),
    }


def _command(command: Command) -> dict[str, Json]:
    meaning: dict[str, Json] = (
        {"manual": command.manual}
        if command.call is None
        else {"action": command.call.action, "arguments": command.call.arguments}
    )
    return {"command": command.text, "comment": command.comment, **meaning, **_where(command.position)}


def _budget(budget: Budget | None) -> Json:
    return None if budget is None else {"least_s": _seconds(budget.least), "most_s": _seconds(budget.most)}


def _texts(items: Sequence[ChecklistItem | Symptom | Remark]) -> list[Json]:
    return [{"text": item.text, **_where(item.position)} for item in items]


def _where(position: SourcePosition) -> dict[str, Json]:
    return {"file": position.file, "line": position.line, "column": position.column}


def _seconds(duration: timedelta) -> int:
    return round(duration.total_seconds())


def _date(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

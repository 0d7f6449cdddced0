"""Who is told what: channels, times of the first message, promises to those outside, and the message templates."""

import re

from tocsin.runbook.blocks import Fence, leaves
from tocsin.runbook.document import Document, name_and_value
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import AnnounceTime, AudienceRule, Channel, MessageTemplate, Severity, SeverityLevel
from tocsin.runbook.severities import read_time, severities_named

CHANNELS = frozenset({"channels"})
TIMES = frozenset({"response times"})
OUTSIDE = frozenset({"external communication"})
TEMPLATES = frozenset({"communication templates", "communication template", "message templates", "message template"})

_PAGED = re.compile(r"\s*\(paged\)$", re.IGNORECASE)
_SLOT = re.compile(r"<([^<>\n]+)>")
_FIELD = re.compile(r"(?P<name>[A-Za-z][\w /-]*):[ \t]*(?P<value>.*)")


def read_channels(document: Document, levels: tuple[SeverityLevel, ...]) -> tuple[Channel, ...]:
    """Where incidents are announced inside.

    Raises:
        ConfigurationInvalid: an entry that is no severity and channel.
    """
    channels: list[Channel] = []
    for section in document.claim(CHANNELS):
        for text in document.texts(section.blocks):
            label, value = name_and_value(text, "Critical: Slack #incidents (paged)")
            severities = severities_named(label, levels, text.position)
            channel = _PAGED.sub("", value)
            channels.append(Channel(label, severities, channel, channel != value, text.position))
    return tuple(channels)


def read_announce_times(document: Document, levels: tuple[SeverityLevel, ...]) -> tuple[AnnounceTime, ...]:
    """How soon an incident is acknowledged and told of, one entry a severity.

    Raises:
        ConfigurationInvalid: an entry that is no severity and time, or a second time for a severity.
    """
    times: dict[Severity, AnnounceTime] = {}
    for section in document.claim(TIMES):
        for text in document.texts(section.blocks):
            label, value = name_and_value(text, "P0: Within 5 minutes")
            within = read_time(text, value).most
            for severity in severities_named(label, levels, text.position):
                if severity in times:
                    raise invalid(text.position, f"{severity} has a second response time", "keep one of them")
                times[severity] = AnnounceTime(severity, within, text.position)
    return tuple(times.values())


def read_templates(document: Document) -> tuple[MessageTemplate, ...]:
    """The example messages; to be read before `read_audiences`, whose section they stand in."""
    templates: list[MessageTemplate] = []
    for section in document.claim(TEMPLATES):
        for leaf in leaves(section.blocks):
            if isinstance(leaf, Fence):
                templates.append(_template(leaf))
            else:
                document.leave([leaf])
    return tuple(templates)


def read_audiences(document: Document) -> tuple[AudienceRule, ...]:
    """What the audiences outside are promised: the sections under "External Communication", line by line."""
    rules: list[AudienceRule] = []
    for section in document.claim(OUTSIDE):
        document.leave(section.blocks)
        for audience in document.claim_children(section):
            rules.extend(
                AudienceRule(audience.title, text.text, text.position) for text in document.texts(audience.blocks)
            )
    return tuple(rules)


def _template(fence: Fence) -> MessageTemplate:
    text = fence.text
    fields = tuple((m["name"].strip(), m["value"].strip()) for m in map(_FIELD.fullmatch, text.split("\n")) if m)
    return MessageTemplate(text, tuple(dict.fromkeys(_SLOT.findall(text))), fields, fence.position)

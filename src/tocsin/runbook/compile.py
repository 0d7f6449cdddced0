"""Compiles a runbook: Markdown in, a typed `Runbook` out, or one error that says where, what and how to mend it.

Only the order stands here: who claims which sections first. What each part means is said in the reader's own module.
"""

import hashlib
from dataclasses import replace

from tocsin.domain.actions import SourcePosition
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.runbook import communication, emergencies, imprint, recovery, roles
from tocsin.runbook.blocks import Fence, leaves
from tocsin.runbook.document import Document
from tocsin.runbook.invalid import invalid
from tocsin.runbook.model import Runbook
from tocsin.runbook.outline import Section, read_outline
from tocsin.runbook.severities import read_severities

RUNBOOK_BYTES_MAX = 8 * 1024 * 1024

_LABELS = (
    emergencies.PARTS
    | roles.ROLES
    | communication.CHANNELS
    | communication.TIMES
    | communication.TEMPLATES
    | recovery.BACKUPS
    | recovery.RESTORE
)


def hash_of(content: bytes) -> str:
    """What a runbook is known and accepted by: the SHA-256 of its bytes."""
    return hashlib.sha256(content).hexdigest()


def compile_runbook(text: str | bytes, file: str) -> Runbook:
    """Compiles a runbook.

    Args:
        text: the document; bytes are UTF-8, with or without a byte order mark, at most `RUNBOOK_BYTES_MAX` of them.
        file: its name, as it shall stand in positions.

    Raises:
        ConfigurationInvalid: it can't be compiled. `data` has file, line and column (counted from 1).
    """
    content, plain = _decode(text, file)
    document = Document(read_outline(plain, file, _LABELS))
    _refuse_unsupported(document.root)
    levels = read_severities(document)
    compiled = emergencies.read_emergencies(document, levels)
    document.claim(imprint.CONTENTS)
    heading = next((section for section in document.root.walk() if section.level == 1), None)
    runbook = Runbook(
        file=file,
        hash=hash_of(content),
        title=heading.title if heading and heading.title else file,
        purpose=imprint.read_purpose(document),
        severities=levels,
        roles=roles.read_roles(document),
        activation=roles.read_activation(document),
        emergencies=compiled,
        channels=communication.read_channels(document, levels),
        announce_times=communication.read_announce_times(document, levels),
        templates=communication.read_templates(document),  # before the audiences, whose section they stand in
        audiences=communication.read_audiences(document),
        recovery_checklist=recovery.read_recovery_checklist(document),
        backup_locations=recovery.read_backup_locations(document),
        restore=recovery.read_command_list(document, recovery.RESTORE),
        quick_reference=recovery.read_command_list(document, recovery.QUICK_REFERENCE),
        contacts=imprint.read_contacts(document),
        version=imprint.read_version(document),
        last_updated=imprint.read_date(document, imprint.LAST_UPDATED),
        next_review=imprint.read_date(document, imprint.NEXT_REVIEW),
        change_log=imprint.read_change_log(document),
    )
    document.leave_unclaimed()
    return replace(runbook, remarks=document.remarks, elsewhere=document.elsewhere)


def _decode(text: str | bytes, file: str) -> tuple[bytes, str]:
    """The document as bytes, for its hash, and as text."""
    try:
        content = text.encode() if isinstance(text, str) else text
        if len(content) > RUNBOOK_BYTES_MAX:
            limit = RUNBOOK_BYTES_MAX // 1024**2
            raise invalid(
                SourcePosition(file, 1), f"the document is larger than {limit} MiB", "is this the right file?"
            )
        plain = content.decode("utf-8-sig")
    except UnicodeEncodeError as error:
        line = error.object.count("\n", 0, error.start) + 1
        raise invalid(SourcePosition(file, line), "the text holds half a character", "save it as UTF-8 text") from error
    except UnicodeDecodeError as error:
        raise _undecodable(error, file) from error
    if "\0" in plain:
        line = plain.count("\n", 0, plain.index("\0")) + 1
        raise invalid(SourcePosition(file, line), "this is a binary file, not Markdown", "is this the right file?")
    return content, plain


def _undecodable(error: UnicodeDecodeError, file: str) -> ConfigurationInvalid:
    before: bytes = error.object[: error.start]
    start_of_line = before.rfind(b"\n") + 1
    column = len(before[start_of_line:].decode(errors="replace")) + 1
    position = SourcePosition(file, before.count(b"\n") + 1, column)
    return invalid(position, "the document is not UTF-8 text", "save it as UTF-8, or name the right file")


def _refuse_unsupported(root: Section) -> None:
    """Refuses `tocsin` blocks, which this version can't read: to pass over a rule or policy would be dangerous."""
    for section in root.walk():
        for leaf in leaves(section.blocks):
            if isinstance(leaf, Fence) and leaf.language.startswith("tocsin"):
                raise invalid(
                    leaf.position,
                    "this version of Tocsin does not read `tocsin` blocks, and leaving one out would be dangerous",
                    "put the rule or binding into tocsin.toml and take the block out of the runbook",
                )

"""Recovery: the checklist, where the backups lie, and the commands that restore them."""

from tocsin.runbook.blocks import Fence, leaves
from tocsin.runbook.commands import read_commands
from tocsin.runbook.document import Document, name_and_value
from tocsin.runbook.model import BackupLocation, ChecklistItem, Command
from tocsin.runbook.shell import is_shell

CHECKLIST = frozenset({"service recovery checklist", "recovery checklist"})
BACKUPS = frozenset({"backup locations"})
RESTORE = frozenset({"restore procedures", "restore procedure"})
QUICK_REFERENCE = frozenset({"quick reference commands", "quick reference"})


def read_recovery_checklist(document: Document) -> tuple[ChecklistItem, ...]:
    """What must hold before an incident is over."""
    return tuple(item for section in document.claim(CHECKLIST) for item in document.items(section.blocks))


def read_backup_locations(document: Document) -> tuple[BackupLocation, ...]:
    """Where which backups lie.

    Raises:
        ConfigurationInvalid: an entry without a name and a place.
    """
    locations: list[BackupLocation] = []
    for section in document.claim(BACKUPS):
        for text in document.texts(section.blocks):
            what, path = name_and_value(text, "Database dumps: `backups/database/`")
            locations.append(BackupLocation(what, path, text.position))
    return tuple(locations)


def read_command_list(document: Document, titles: frozenset[str]) -> tuple[Command, ...]:
    """The commands under these titles, one by one; text beside them is left behind."""
    commands: list[Command] = []
    for section in document.claim(titles):
        for leaf in leaves(section.blocks):
            if isinstance(leaf, Fence) and is_shell(leaf):
                content = read_commands(leaf)
                commands.extend(content.commands)
                document.leave_items(content.instructions)
            else:
                document.leave([leaf])
    return tuple(commands)

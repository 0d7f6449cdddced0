"""The command line's entry: the commands, and what errors mean to the shell.

Exit codes: 0 done; 1 what was asked did not hold; 2 usage or configuration; 3 refused, nothing changed; 4 outcome
unknown; 5 sent, unconfirmed; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from tocsin import __version__
from tocsin.cli.output import EXIT_DONE, EXIT_INTERRUPTED, exit_code, print_error, print_interrupted
from tocsin.domain.errors import ConfigurationInvalid, TocsinError

app = App(
    name="tocsin",
    help="Tocsin runs your emergency runbook: it proves it, watches, responds, and drills it on a real private chain.",
    version=__version__,
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # it is told below, as JSON too
)
_VERBS = {
    "serving": ("init", "serve"),
    "drill_verbs": ("demo", "drill"),
    "runbook_verbs": ("runbook", "dry_run"),
    "rule_verbs": ("rules", "backtest"),
    "tx_verbs": ("tx",),
    "pause_verbs": ("pause",),
    "resume_verbs": ("resume",),
    "arm_verbs": ("arm", "disarm", "armed"),
    "incident_verbs": (
        *("declare", "incidents", "incident", "next_", "ack", "approve", "note", "severity", "role", "status"),
        *("close", "resolve", "reopen", "step"),
    ),
}
"""The commands, by the modules that have them. A module is imported when one of its commands is asked for."""

for _module, _verbs in _VERBS.items():
    for _verb in _verbs:
        app.command(f"tocsin.cli.{_module}:{_verb}", name=_verb.rstrip("_").replace("_", "-"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    if not given or given[0] in app.help_flags:
        _import_all()
    try:
        result = app(given, exit_on_error=False, print_error=False, verbose=False)
    except CycloptsError as error:
        return _failed(_usage(error), as_json=as_json)
    except TocsinError as error:
        return _failed(error, as_json=as_json)
    except ExceptionGroup as group:
        error = _cause(group)
        if error is None:
            raise
        return _failed(error, as_json=as_json)
    except KeyboardInterrupt:
        print_interrupted(as_json=as_json)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`tocsin … | head`); the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    return result if isinstance(result, int) else EXIT_DONE


def _import_all() -> None:
    """What the help says of a command stands with the command."""
    for name in list(app):
        app[name]


def _failed(error: TocsinError, *, as_json: bool) -> int:
    print_error(error, as_json=as_json)
    return exit_code(error)


def _usage(error: CycloptsError) -> ConfigurationInvalid:
    """A command line that can't be understood."""
    command = " ".join(("tocsin", *(error.command_chain or ())))
    message = " ".join(str(error).split())
    return ConfigurationInvalid("usage", message, next_step=f"see `{command} --help`")


def _cause(group: ExceptionGroup) -> TocsinError | None:
    """Of tasks side by side that ended together: the error that ended them, if Tocsin knows all of them."""
    known, unknown = group.split(TocsinError)
    if known is None or unknown is not None:
        return None
    error: Exception = known
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TocsinError), "the group was split by this type"
    return error

"""The command line's entry: the commands, and what errors mean to the shell.

Exit codes: 0 done; 1 what was asked did not hold; 2 usage or configuration; 3 refused, nothing changed; 4 outcome
unknown; 5 sent, unconfirmed; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from tocsin import __version__
from tocsin.cli.drill_verbs import demo, drill
from tocsin.cli.incident_verbs import add_verbs
from tocsin.cli.output import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USAGE, err, exit_code, print_error
from tocsin.cli.runbook_verbs import dry_run, runbook
from tocsin.cli.serving import init, serve
from tocsin.domain.errors import TocsinError

app = App(
    name="tocsin",
    help="Tocsin runs your emergency runbook: it proves it, watches, responds, and drills it on a real private chain.",
    version=__version__,
    version_flags=["--version"],
    result_action="return_value",
)
app.command(init)
app.command(serve)
app.command(demo)
app.command(drill)
app.command(runbook)
app.command(dry_run)
add_verbs(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(given, exit_on_error=False, print_error=False)
    except TocsinError as error:
        print_error(error, as_json="--json" in given)
        return exit_code(error)
    except CycloptsError as error:
        err.print(f"[bold red]Usage:[/] {error}")
        err.print("  next  see `tocsin --help`")
        return EXIT_USAGE
    except KeyboardInterrupt:
        err.print("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`tocsin … | head`); the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    return result if isinstance(result, int) else EXIT_DONE


def run() -> None:
    """The console script."""
    sys.exit(main())

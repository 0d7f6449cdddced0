"""Options that every command has: which configuration, who acts, and whether to print JSON."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.principals import TOCSIN

if TYPE_CHECKING:
    from tocsin.settings import Settings

type JsonFlag = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]
"""Whether to print one JSON document instead of text for people."""


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Options of every command."""

    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None
    "The configuration file (default: TOCSIN_CONFIG, else tocsin.toml in this folder)."

    json: JsonFlag = False
    "Print one JSON document on standard output, and everything else on standard error."

    def settings(self) -> "Settings":
        """The configuration.

        Raises:
            ConfigurationInvalid: there is none, or it can't be used.
        """
        from tocsin.settings import find_settings, read_settings

        return read_settings(find_settings(self.config))

    def copyable(self, command: str) -> str:
        """A command line as it can be typed here: with the configuration, where that was named on the command line."""
        return command if self.config is None else f"{command} -c {shlex.quote(str(self.config))}"


@Parameter(name="*")
@dataclass(frozen=True)
class ActingOptions(Options):
    """Options of the commands by which a person acts."""

    as_: Annotated[str | None, Parameter(name="--as")] = None
    "Who acts (default: TOCSIN_PRINCIPAL, else `principal` of the configuration)."

    def principal(self, settings: "Settings") -> str:
        """The principal's id.

        Raises:
            ConfigurationInvalid: nobody was named.
            Refused: it would be Tocsin itself, for which nobody may speak.
        """
        name = self.as_ or settings.principal
        if not name:
            raise ConfigurationInvalid(
                "nobody-acts",
                "it is not said who acts",
                next_step="name yourself with --as NAME, TOCSIN_PRINCIPAL, or `principal` in the configuration",
            )
        if name == TOCSIN.id:
            raise Refused(
                "principal-unknown",
                f"nobody acts as {name!r}: that is Tocsin itself, which records what it did and saw",
                next_step="name yourself with --as NAME",
            )
        return name

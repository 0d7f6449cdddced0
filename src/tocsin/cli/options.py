"""Options that every command has: which configuration, who acts, and whether to print JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tocsin.domain.errors import ConfigurationInvalid
from tocsin.settings import Settings, find_settings, read_settings


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Options of every command."""

    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None
    "The configuration file (default: TOCSIN_CONFIG, else tocsin.toml in this folder)."

    json: Annotated[bool, Parameter(negative=())] = False
    "Print one JSON document on standard output, and everything else on standard error."

    def settings(self) -> Settings:
        """The configuration.

        Raises:
            ConfigurationInvalid: there is none, or it can't be used.
        """
        return read_settings(find_settings(self.config))


@Parameter(name="*")
@dataclass(frozen=True)
class ActingOptions(Options):
    """Options of the commands by which a person acts."""

    as_: Annotated[str | None, Parameter(name="--as")] = None
    "Who acts (default: TOCSIN_PRINCIPAL, else `principal` of the configuration)."

    def principal(self, settings: Settings) -> str:
        """The principal's id.

        Raises:
            ConfigurationInvalid: nobody was named.
        """
        name = self.as_ or settings.principal
        if not name:
            raise ConfigurationInvalid(
                "nobody-acts",
                "it is not said who acts",
                next_step="name yourself with --as NAME, TOCSIN_PRINCIPAL, or `principal` in the configuration",
            )
        return name

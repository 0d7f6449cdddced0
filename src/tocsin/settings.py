"""`tocsin.toml`: the schema of the configuration, and reading it.

This is the border: pydantic stands here and nowhere further in. `app.py` turns settings into the rooms' own values.
Relative paths are relative to the folder of the file. Any key can be overridden by the environment (`TOCSIN_MODE`,
`TOCSIN_NETWORK__QUORUM`). Unknown keys are errors, with the nearest known one suggested.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tocsin.domain.actions import Autonomy
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.hashes import account_of, script_hash

CONFIGURATION_FILE = "tocsin.toml"
CONFIGURATION_BYTES_MAX = 1 << 20


def _checked_amount(text: str) -> str:
    Gas.parse(text)
    return text


def _checked_hash(text: str) -> str:
    return script_hash(text)


def _checked_account(text: str) -> str:
    return account_of(text)


type GasText = Annotated[str, AfterValidator(_checked_amount)]
type ContractHash = Annotated[str, AfterValidator(_checked_hash)]
type Account = Annotated[str, AfterValidator(_checked_account)]
type PublicKeyHex = Annotated[str, Field(pattern="^0[23][0-9a-f]{64}$")]
type Purpose = Literal["pause", "refill", "admin", "invoke"]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values can't be changed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class EndpointSettings(Section):
    """An RPC node. Nodes of one provider count once in a quorum."""

    name: str
    provider: str
    url: str = Field(pattern=r"^https?://")
    ws: str | None = Field(default=None, pattern=r"^wss?://")


class NetworkSettings(Section):
    """The chain: its magic number, its nodes, how many providers must agree, and what a transaction may cost (GAS)."""

    magic: int
    endpoints: tuple[EndpointSettings, ...] = Field(min_length=1, max_length=16)
    quorum: int = Field(default=2, ge=1)
    system_fee_max: GasText = "5"
    network_fee_max: GasText = "1"


class WalletSettings(Section):
    """A NEP-6 wallet. The password stands in a file or an environment variable, never here."""

    wallet: Path
    password_file: Path | None = None
    password_env: str | None = None
    address: Account | None = None


class ContractSettings(Section):
    """A contract by name. A guarded one is watched for outflow and must stop when paused."""

    hash: ContractHash
    guarded: bool = False


class CallSettings(Section):
    """A call: a contract by name (`gas` and `neo` are known) or hash, a method, arguments as texts or `{names}`."""

    contract: str
    method: str
    args: tuple[str, ...] = ()


class PauseSettings(Section):
    """A way to pause: the call that does it, and the read that shows it."""

    name: str
    call: CallSettings
    paused: CallSettings
    stops: str


class ProbeSettings(Section):
    """A guarded user call that must FAULT with `reason` while one of `stopped_by` (names of [[pause]]) holds.

    It is only ever tried, never sent. `account` is the user, `witness` the contracts that ask for the user's consent.
    """

    name: str
    call: CallSettings
    account: Account
    witness: tuple[str, ...]
    reason: str
    stopped_by: tuple[str, ...]


class RuleSettings(Section):
    """A rule for a symptom: `condition` is a CEL expression over the signal's variables; `window` in seconds."""

    name: str
    emergency: str
    symptom: str
    signal: Literal["outflow"] = "outflow"
    contracts: tuple[str, ...] = Field(min_length=1)
    window: float = Field(default=60, gt=0, le=86_400)
    known_recipients: tuple[Account, ...] = ()
    condition: str


class PersonSettings(Section):
    """A person who may act: the enrolled public key, and the wallet that holds its private half on this machine."""

    name: str
    public_key: PublicKeyHex
    key: WalletSettings | None = None


class Settings(BaseSettings):
    """The whole configuration."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="TOCSIN_", env_nested_delimiter="__", env_ignore_empty=True
    )

    name: str = "my platform"
    mode: Autonomy = Autonomy.OBSERVE
    runbook: Path
    state: Path = Path("tocsin-state")
    principal: str | None = None
    network: NetworkSettings
    keys: dict[Purpose, WalletSettings] = {}
    contracts: dict[str, ContractSettings] = {}
    variables: dict[str, str] = {}
    autonomy: dict[str, Autonomy] = {}
    pause: tuple[PauseSettings, ...] = ()
    probes: tuple[ProbeSettings, ...] = ()
    rules: tuple[RuleSettings, ...] = ()
    people: dict[str, PersonSettings] = {}
    roles: dict[str, tuple[str, ...]] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (whose content arrives as init arguments)."""
        return env_settings, init_settings


def find_settings(given: Path | None) -> Path:
    """The configuration file: the one given, `TOCSIN_CONFIG`, or `tocsin.toml` in this folder.

    Raises:
        ConfigurationInvalid: there is none.
    """
    path = given or Path(os.environ.get("TOCSIN_CONFIG", CONFIGURATION_FILE))
    if not path.is_file():
        raise ConfigurationInvalid(
            "no-configuration",
            f"there is no configuration at {path}",
            next_step="run `tocsin init` to write a commented one, or name one with --config",
        )
    return path


def read_settings(path: Path) -> Settings:
    """Reads and checks a configuration file; paths in the result are absolute.

    Raises:
        ConfigurationInvalid: it can't be read, is no TOML, or breaks the schema; every problem is named.
    """
    try:
        with path.open("rb") as file:
            text = file.read(CONFIGURATION_BYTES_MAX + 1)
        if len(text) > CONFIGURATION_BYTES_MAX:
            raise ConfigurationInvalid(
                "configuration-too-large", f"{path} has more than {CONFIGURATION_BYTES_MAX} bytes"
            )
        content = tomllib.loads(text.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationInvalid(
            "configuration-unreadable", f"{path} can't be read: {error}", next_step="mend the file"
        ) from error
    try:
        settings = Settings(**content)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False, include_input=False)]
        raise ConfigurationInvalid(
            "configuration-invalid",
            f"{path} is not a valid configuration: {'; '.join(problems)}",
            next_step="mend the file; `tocsin init` writes a commented example",
            data={"file": str(path), "problems": problems},
        ) from error
    _check_references(path, settings)
    return _absolute(settings, path.resolve().parent)


def _check_references(path: Path, settings: Settings) -> None:
    """Names that point nowhere are errors too."""
    problems: list[str] = []

    def known(where: str, name: str, names: Sequence[str]) -> None:
        if name not in names:
            problems.append(f"{where}: {name!r} is not defined{_suggestion(name, names)}")

    contracts = [*settings.contracts, "gas", "neo"]
    calls = [(f"pause.{p.name}", c) for p in settings.pause for c in (p.call, p.paused)]
    calls += [(f"probes.{p.name}", p.call) for p in settings.probes]
    for where, call in calls:
        if not call.contract.startswith("0x"):
            known(where, call.contract, contracts)
    for probe in settings.probes:
        for name in probe.witness:
            known(f"probes.{probe.name}.witness", name, contracts)
        for name in probe.stopped_by:
            known(f"probes.{probe.name}.stopped_by", name, [p.name for p in settings.pause])
    for rule in settings.rules:
        for name in rule.contracts:
            known(f"rules.{rule.name}.contracts", name, contracts)
    for role, names in settings.roles.items():
        for name in names:
            known(f"roles.{role}", name, list(settings.people))
    if settings.network.quorum > len({e.provider for e in settings.network.endpoints}):
        problems.append("network.quorum: more providers must agree than there are (nodes of one provider count once)")
    if problems:
        raise ConfigurationInvalid(
            "configuration-invalid",
            f"{path} is not a valid configuration: {'; '.join(problems)}",
            next_step="mend the file",
            data={"file": str(path), "problems": cast(list[Any], problems)},
        )


def _problem(item: Mapping[str, Any]) -> str:
    location = [str(part) for part in item["loc"]]
    where = ".".join(location)
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggestion(location[-1], _known_keys(location[:-1]))}"
    return f"{where}: {item['msg']}"


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _known_keys(path: Sequence[str]) -> list[str]:
    """The keys that the schema allows in the table at `path`."""
    model: Any = Settings
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = _section_in(field.annotation) if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _section_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(argument) for argument in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _absolute(settings: Settings, folder: Path) -> Settings:
    def wallet(given: WalletSettings) -> WalletSettings:
        return given.model_copy(
            update={
                "wallet": folder / given.wallet,
                "password_file": folder / given.password_file if given.password_file else None,
            }
        )

    return settings.model_copy(
        update={
            "runbook": folder / settings.runbook,
            "state": folder / settings.state,
            "keys": {purpose: wallet(key) for purpose, key in settings.keys.items()},
            "people": {
                name: person.model_copy(update={"key": wallet(person.key) if person.key else None})
                for name, person in settings.people.items()
            },
        }
    )

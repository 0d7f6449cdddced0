"""`tocsin.toml`: the schema of the configuration, and reading it.

This is the border: pydantic stands here and nowhere further in. `app.py` turns settings into the rooms' own values.
Relative paths are relative to the folder of the file. Any key can be overridden by the environment (`TOCSIN_MODE`,
`TOCSIN_NETWORK__QUORUM`). Unknown keys are errors, with the nearest known one suggested.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from tocsin.domain.actions import Autonomy
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.principals import TOCSIN
from tocsin.rule_settings import RuleSettings
from tocsin.sections import FILE_BYTES_MAX, Account, ContractHash, Section, problems_in, read_table, suggestion

CONFIGURATION_FILE = "tocsin.toml"
CONFIGURATION_BYTES_MAX = FILE_BYTES_MAX
NATIVE_NAMES = frozenset({"gas", "neo"})
"""Contracts that need no entry in the file."""

_HASH = re.compile(r"0x[0-9a-fA-F]{40}")
_NAME = re.compile(r"\{(\w+)\}")


def _checked_fee(text: str) -> str:
    if Gas.parse(text) < Gas(0):
        raise ValueError("a fee can't be negative")
    return text


type FeeText = Annotated[str, AfterValidator(_checked_fee)]
type PublicKeyHex = Annotated[str, Field(pattern="^0[23][0-9a-f]{64}$")]
type Purpose = Literal["pause", "refill", "admin", "invoke"]


class EndpointSettings(Section):
    """An RPC node. Nodes of one provider count once in a quorum."""

    name: str = Field(min_length=1)
    """What messages call the node."""
    provider: str = Field(min_length=1)
    """Who runs it."""
    url: str = Field(pattern=r"^https?://")
    """Its JSON-RPC address; use https beyond your own machine."""
    ws: str | None = Field(default=None, pattern=r"^wss?://")
    """Its WebSocket address. Without one the chain is followed by polling."""


class NetworkSettings(Section):
    """The chain: its magic number, its nodes, how many providers must agree, and what a transaction may cost (GAS)."""

    magic: int = Field(ge=0, lt=1 << 32)
    """The network number; a node that names another one is set aside."""
    endpoints: tuple[EndpointSettings, ...] = Field(min_length=1, max_length=16)
    """The nodes."""
    quorum: int = Field(default=2, ge=1)
    """How many providers must agree before something is believed. It is never lowered by itself."""
    system_fee_max: FeeText = "5"
    """The most GAS that one transaction may pay as system fee; beyond it nothing is sent."""
    network_fee_max: FeeText = "1"
    """The most GAS that one transaction may pay as network fee; beyond it nothing is sent."""


class WalletSettings(Section):
    """A NEP-6 wallet. The password stands in a file or an environment variable, never here."""

    wallet: Path
    """The wallet's file."""
    password_file: Path | None = None
    """The file that holds the password (mode 0600). Name this or `password_env`, not both."""
    password_env: str | None = None
    """The environment variable that holds the password."""
    address: Account | None = None
    """Which account of the wallet; without it the default one, or the only one."""


class ContractSettings(Section):
    """A contract by name. A guarded one is watched for outflow and must stop when paused.

    `app` is the id of the app that it belongs to, as the platform's pause call for one app takes it.
    """

    hash: ContractHash
    """Its script hash: 0x and 40 hexadecimal digits."""
    guarded: bool = False
    """Whether it is watched and must stop when paused. It is a remark so far: rules and probes name their contracts."""
    app: str | None = Field(default=None, min_length=1)


class CallSettings(Section):
    """A call: a contract by name (`gas` and `neo` are known) or hash, a method, arguments as texts or `{names}`.

    A name stands for the value that the runbook's command has in its place; only the calls of [[pause]] have such.
    """

    contract: str
    """A name under [contracts], `gas`, `neo`, or a hash."""
    method: str
    """The method's name."""
    args: tuple[str, ...] = ()
    """Its arguments; the contract's manifest says their types."""


class PauseSettings(Section):
    """A way to pause: the call that does it, the read that shows it, and what it `stops`, in words.

    `paused` and `stops` may use the `{names}` of `call`. `scope` says which entry `tocsin pause` takes for `--all` and
    which for `--app`. Where none says so, the only entry whose call has an `{app_id}` is for one app, and the only one
    whose call has none is for all. `resume` is the call by which the admin lifts it.
    """

    name: str
    """What probes (`stopped_by`) and messages call it."""
    call: CallSettings
    """The call that pauses."""
    paused: CallSettings
    """The read that answers true while it is paused."""
    stops: str
    """What it stops, for people: "everything", "the app {app_id}"."""
    scope: Literal["all", "app"] | None = None
    resume: CallSettings | None = None


class ProbeSettings(Section):
    """A guarded user call that must FAULT with `reason` while one of `stopped_by` (names of [[pause]]) holds.

    It is only ever tried, never sent. `account` is the user, `witness` the contracts that ask for the user's consent,
    `app` the app that it belongs to, if pausing that one app stops it and pausing another does not.
    """

    name: str
    """What messages call it."""
    call: CallSettings
    """The user's call, with every argument written out."""
    account: Account
    """The user as whom it is tried."""
    witness: tuple[str, ...]
    """The contracts that ask for the user's consent."""
    reason: str = Field(min_length=1)
    """A part of the message with which it FAULTs while paused."""
    stopped_by: tuple[str, ...]
    """Names of [[pause]] entries."""
    app: str | None = Field(default=None, min_length=1)


class BreakGlassSettings(Section):
    """What becomes of a pause that was sent by `tocsin pause` without the server: the emergency that it belongs to."""

    emergency: str = "smart-contract-exploit"
    """The slug of an emergency in the runbook."""


class AccountSettings(Section):
    """A multi-signature account: `m` of the keys must sign. `purpose` says which of [keys] may sign for it here."""

    m: int = Field(ge=1)
    """How many must sign."""
    public_keys: tuple[PublicKeyHex, ...] = Field(min_length=1, max_length=1024)
    """The members' public keys."""
    purpose: Purpose = "admin"
    """Which of [keys] signs for it here."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.m > len(self.public_keys):
            raise ValueError(f"m = {self.m}, but there are only {len(self.public_keys)} public keys")
        if len(set(self.public_keys)) != len(self.public_keys):
            raise ValueError("a public key comes twice")
        return self


class ReflexSettings(Section):
    """The pause that fires by itself, once people have armed it (`tocsin arm`).

    A contract that belongs to an `app` is answered by the pause of that app, any other by the pause of everything.
    `known` are accounts whose transactions are never suspected, `scopes_per_hour` how many different pauses may be
    fired within an hour, `approvals` how many people must have armed it.
    """

    known: tuple[Account, ...] = ()
    scopes_per_hour: int = Field(default=3, ge=1, le=100)
    approvals: int = Field(default=1, ge=1, le=10)


class PersonSettings(Section):
    """A person who may act: the enrolled public key, and the wallet that holds its private half on this machine."""

    name: str
    """The person's name."""
    public_key: PublicKeyHex
    """The enrolled key: compressed, 66 hexadecimal digits. Whoever holds its private half acts as this person."""
    key: WalletSettings | None = None
    """The wallet that holds it; only on that person's own machine."""


class Settings(BaseSettings):
    """The whole configuration."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="TOCSIN_", env_nested_delimiter="__", env_ignore_empty=True
    )

    name: str = "my platform"
    """What messages call this platform."""
    mode: Autonomy = Autonomy.OBSERVE
    """The strictest word for everything: how freely Tocsin acts on this platform."""
    runbook: Path
    """The document that this installation follows, once people have accepted it."""
    state: Path = Path("tocsin-state")
    """The folder of the incidents, the outbox and the workflows. It is made with mode 0700."""
    principal: str | None = None
    """Who acts where a command does not say `--as`; better set TOCSIN_PRINCIPAL in your shell."""
    network: NetworkSettings
    """The chain and its nodes."""
    keys: dict[Purpose, WalletSettings] = {}
    """A wallet for each purpose. The key of one purpose is never used for another."""
    accounts: dict[str, AccountSettings] = {}
    """Multi-signature accounts by name, for `tocsin tx`."""
    contracts: dict[str, ContractSettings] = {}
    """The platform's contracts by name."""
    variables: dict[str, str] = {}
    """What the `<placeholders>` of the runbook's commands stand for; `<reason>` comes from the incident."""
    autonomy: dict[str, Autonomy] = {}
    """How freely an action may run, by its name (`contract.pause`). The strictest word still wins."""
    pause: tuple[PauseSettings, ...] = ()
    """The ways to pause, and how to see that it holds."""
    probes: tuple[ProbeSettings, ...] = ()
    """User calls that must stop working when it is paused."""
    rules: tuple[RuleSettings, ...] = ()
    """When a symptom of the runbook shows."""
    break_glass: BreakGlassSettings = BreakGlassSettings()
    """What becomes of a `tocsin pause`."""
    reflex: ReflexSettings = ReflexSettings()
    """The pause that fires by itself once people have armed it."""
    people: dict[str, PersonSettings] = {}
    """Who may act, by the name that `--as` takes."""
    roles: dict[str, tuple[str, ...]] = {}
    """Who takes a role (IC, TL, CL) when a P0 is declared, the first one first."""

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
    content = read_table(path)
    try:
        # What begins with an underscore would be taken for an option of the library's own.
        settings = Settings(**{key: value for key, value in content.items() if not key.startswith("_")})
    except ValidationError as error:
        raise _invalid(path, problems_in(error, Settings)) from error
    except SettingsError as error:  # a variable of the environment that should hold JSON
        raise _invalid(path, [f"the environment: {error}"]) from error
    problems = [f"{key}: unknown key" for key in content if key.startswith("_")] + list(dangling(settings))
    if problems:
        raise _invalid(path, problems)
    return _absolute(settings, path.resolve().parent)


def _invalid(path: Path, problems: Sequence[str]) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        "configuration-invalid",
        f"{path} is not a valid configuration: {'; '.join(problems)}",
        next_step="mend the file (or the TOCSIN_ variables); `tocsin init` writes a commented example",
        data={"file": str(path), "problems": list(problems)},
    )


def dangling(settings: Settings) -> Iterator[str]:
    """Names that point nowhere, or to more than one thing."""

    def known(where: str, name: str, names: Collection[str]) -> Iterator[str]:
        if name not in names:
            yield f"{where}: {name!r} is not defined{suggestion(name, names)}"

    def contract(where: str, name: str) -> Iterator[str]:
        if _HASH.fullmatch(name) is None:
            yield from known(where, name, [*settings.contracts, *NATIVE_NAMES])

    for name in sorted(NATIVE_NAMES & settings.contracts.keys()):
        yield f"contracts.{name}: this is the name of a native contract; choose another"
    for where, entries in (
        ("network.endpoints", settings.network.endpoints),
        ("pause", settings.pause),
        ("probes", settings.probes),
        ("rules", settings.rules),
    ):
        for name, times in Counter(entry.name for entry in entries).items():
            if times > 1:
                yield f"{where}: {name!r} is the name of {times} entries; names must differ"
    for pause in settings.pause:
        where = f"pause.{pause.name}"
        yield from contract(f"{where}.call", pause.call.contract)
        yield from contract(f"{where}.paused", pause.paused.contract)
        captured = _names_in(pause.call.args)
        resumed: set[str] = set()
        if pause.resume is not None:
            yield from contract(f"{where}.resume", pause.resume.contract)
            resumed = _names_in(pause.resume.args)
        for name in sorted((_names_in(pause.paused.args) | resumed | set(_NAME.findall(pause.stops))) - captured):
            yield f"{where}: {{{name}}} is no argument of its call{suggestion(name, captured)}"
    for probe in settings.probes:
        where = f"probes.{probe.name}"
        yield from contract(f"{where}.call", probe.call.contract)
        for name in sorted(_names_in(probe.call.args)):
            yield f"{where}.call: {{{name}}} has no value in a probe; write the argument itself"
        for name in probe.witness:
            yield from contract(f"{where}.witness", name)
        for name in probe.stopped_by:
            yield from known(f"{where}.stopped_by", name, [pause.name for pause in settings.pause])
    for rule in settings.rules:
        for name in rule.contracts:
            yield from contract(f"rules.{rule.name}.contracts", name)
    if TOCSIN.id in settings.people:
        yield f"people.{TOCSIN.id}: this is the name of Tocsin itself; choose another"
    of_key: dict[str, list[str]] = {}
    for name, person in settings.people.items():
        of_key.setdefault(person.public_key, []).append(name)
    for same in of_key.values():
        if len(same) > 1:
            yield f"people: {' and '.join(same)} have the same public_key; who holds one key is one person"
    for role, names in settings.roles.items():
        for name in names:
            yield from known(f"roles.{role}", name, settings.people)
    if settings.network.quorum > len({e.provider for e in settings.network.endpoints}):
        yield "network.quorum: more providers must agree than there are (nodes of one provider count once)"


def _names_in(arguments: Sequence[str]) -> set[str]:
    return {name[1] for argument in arguments if (name := _NAME.fullmatch(argument))}


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

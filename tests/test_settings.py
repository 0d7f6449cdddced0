"""`tocsin.toml`: what is wrong with it is said all at once, with the place and the nearest right word."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tocsin.domain.actions import Autonomy
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.hashes import address_of, script_hash
from tocsin.settings import CONFIGURATION_BYTES_MAX, Settings, find_settings, read_settings

EXAMPLE = Path(__file__).parents[1] / "src/tocsin/cli/tocsin.example.toml"
ACCOUNT = script_hash("ab" * 20)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests reaches them."""
    for name in os.environ:
        if name.startswith("TOCSIN_"):
            monkeypatch.delenv(name)


class Configuration:
    """The example, as a file to be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = EXAMPLE.read_text()

    def replace(self, old: str, new: str) -> "Configuration":
        assert self.text.count(old) == 1, f"{old!r} stands {self.text.count(old)} times in the example"
        self.text = self.text.replace(old, new)
        return self

    def prepend(self, lines: str) -> "Configuration":
        self.text = f"{lines}\n{self.text}"
        return self

    def append(self, lines: str) -> "Configuration":
        self.text = f"{self.text}\n{lines}\n"
        return self

    def read(self) -> Settings:
        self.path.write_text(self.text)
        return read_settings(self.path)

    def error(self) -> ConfigurationInvalid:
        with pytest.raises(ConfigurationInvalid) as invalid:
            self.read()
        return invalid.value

    def problems(self) -> Sequence[str]:
        error = self.error()
        assert error.code == "configuration-invalid"
        assert str(self.path) in error.message
        problems = error.data["problems"]
        assert isinstance(problems, list)
        return [str(problem) for problem in problems]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path / "tocsin.toml")


def test_the_example_is_a_valid_configuration_of_an_installation_that_only_observes() -> None:
    settings = read_settings(EXAMPLE)
    assert settings.mode is Autonomy.OBSERVE
    assert settings.network.quorum == 2
    assert [pause.name for pause in settings.pause] == ["everything"]
    assert [rule.contracts for rule in settings.rules] == [("payment_hub",)]
    assert settings.contracts["payment_hub"].guarded
    assert settings.roles["IC"] == ("alice",)


def test_the_example_shows_every_section_and_every_key_of_the_top() -> None:
    commented = {"principal", "autonomy", "accounts"}
    assert set(tomllib.loads(EXAMPLE.read_text())) | commented == set(Settings.model_fields)


def test_what_is_left_out_has_a_cautious_default(configuration: Configuration) -> None:
    configuration.text = """
        runbook = "runbook.md"
        [network]
        magic = 1
        [[network.endpoints]]
        name = "a"
        provider = "p"
        url = "http://127.0.0.1:1"
        [[network.endpoints]]
        name = "b"
        provider = "q"
        url = "http://127.0.0.1:2"
    """
    settings = configuration.read()
    assert settings.mode is Autonomy.OBSERVE
    assert settings.network.quorum == 2
    assert (settings.network.system_fee_max, settings.network.network_fee_max) == ("5", "1")
    assert not settings.pause
    assert settings.principal is None


# Paths


def test_relative_paths_are_relative_to_the_files_folder(configuration: Configuration) -> None:
    configuration.replace("# key = { wallet", "key = { wallet")
    folder, settings = configuration.path.parent, configuration.read()
    assert settings.runbook == folder / "EMERGENCY_RUNBOOK.md"
    assert settings.state == folder / "tocsin-state"
    pause = settings.keys["pause"]
    assert (pause.wallet, pause.password_file) == (folder / "wallets/pause.json", folder / "secrets/pause-password")
    alice = settings.people["alice"].key
    assert alice is not None
    assert (alice.wallet, alice.password_file) == (folder / "wallets/alice.json", None)
    assert settings.people["bob"].key is None


def test_the_folder_counts_and_not_where_one_stands(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration.read()
    monkeypatch.chdir(configuration.path.parent)
    assert read_settings(Path("tocsin.toml")).runbook == configuration.path.parent.resolve() / "EMERGENCY_RUNBOOK.md"


def test_absolute_paths_stay(configuration: Configuration) -> None:
    settings = configuration.replace('state = "tocsin-state"', 'state = "/var/lib/tocsin"').read()
    assert settings.state == Path("/var/lib/tocsin")


# Unknown keys


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('mode = "observe"', 'mod = "observe"', "mod: unknown key (did you mean mode?)"),
        ("quorum = 2 ", "qorum = 2 ", "network.qorum: unknown key (did you mean quorum?)"),
        ('provider = "us"', 'provider = "us"\nurls = "x"', "network.endpoints.0.urls: unknown key (did you mean url?)"),
        ("password_file", "pasword_file", "keys.pause.pasword_file: unknown key (did you mean password_file?)"),
        ("guarded = true", "garded = true", "contracts.payment_hub.garded: unknown key (did you mean guarded?)"),
        (
            'args = ["{reason}"]',
            'argss = ["{reason}"]',
            "pause.0.call.argss: unknown key (did you mean args?)",
        ),
        ("window = 60", "windw = 60", "rules.0.windw: unknown key (did you mean window?)"),
        ("# key = { wallet", "key = { walet", "people.alice.key.walet: unknown key (did you mean wallet?)"),
        ("guarded = true", "colour = true", "contracts.payment_hub.colour: unknown key"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_known_one(
    configuration: Configuration, old: str, new: str, problem: str
) -> None:
    assert problem in configuration.replace(old, new).problems()


def test_a_key_with_an_underscore_is_no_way_into_the_library(configuration: Configuration) -> None:
    configuration.prepend('_env_prefix = "OTHER_"\n_cli_parse_args = true')
    assert configuration.problems() == ["_env_prefix: unknown key", "_cli_parse_args: unknown key"]


def test_all_problems_are_told_at_once(configuration: Configuration) -> None:
    configuration.replace('mode = "observe"', 'mode = "fly"').replace("quorum = 2 ", "quorum = 0 ")
    problems = configuration.problems()
    assert [problem.split(":")[0] for problem in problems] == ["mode", "network.quorum"]
    assert "'observe', 'ask', 'ask_then_act' or 'act'" in problems[0]
    assert "; ".join(problems) in configuration.error().message


# Values


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('runbook = "EMERGENCY_RUNBOOK.md"', "", "runbook"),
        ("magic = 860833102", "magic = -1", "network.magic"),
        ("magic = 860833102", "magic = 4294967296", "network.magic"),
        ('system_fee_max = "5"', "system_fee_max = 5", "network.system_fee_max"),
        ('system_fee_max = "5"', 'system_fee_max = "-5"', "network.system_fee_max"),
        ('network_fee_max = "1"', 'network_fee_max = "0.000000001"', "network.network_fee_max"),
        ('url = "https://rpc.example.com"', 'url = "ftp://rpc.example.com"', "network.endpoints.0.url"),
        ('ws = "wss://rpc.example.org/ws"', 'ws = "https://rpc.example.org"', "network.endpoints.1.ws"),
        ('name = "backup"', 'name = ""', "network.endpoints.1.name"),
        ("[keys.pause]", "[keys.pauze]", "keys.pauze.[key]"),
        ("000002", "00002", "contracts.payment_hub.hash"),
        ('reason = "paused"', 'reason = ""', "probes.0.reason"),
        ("window = 60", "window = 0.0000001", "rules.0.window"),
        ("window = 60", "window = nan", "rules.0.window"),
        ("window = 60", "window = inf", "rules.0.window"),
        ("known_recipients = []", 'known_recipients = ["Alice"]', "rules.0.known_recipients.0"),
        ('contracts = ["payment_hub"]', "contracts = []", "rules.0.contracts"),
        ('public_key = "02', 'public_key = "04', "people.alice.public_key"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(configuration: Configuration, old: str, new: str, where: str) -> None:
    (problem,) = configuration.replace(old, new).problems()
    assert problem.startswith(f"{where}: ")


def test_accounts_are_addresses_or_hashes_and_become_hashes(configuration: Configuration) -> None:
    listed = f'known_recipients = ["{address_of(ACCOUNT)}", "{ACCOUNT.upper().replace("X", "x")}"]'
    settings = configuration.replace("known_recipients = []", listed).read()
    assert settings.rules[0].known_recipients == (ACCOUNT, ACCOUNT)


# Names that point nowhere, or to two things


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'call = { contract = "pause_registry"',
            'call = { contract = "pause_registri"',
            "pause.everything.call: 'pause_registri' is not defined (did you mean pause_registry?)",
        ),
        (
            'paused = { contract = "pause_registry"',
            'paused = { contract = "0x12"',
            "pause.everything.paused: '0x12' is not defined",
        ),
        (
            'stops = "everything"',
            'stops = "the app {app_id}"',
            "pause.everything: {app_id} is no argument of its call",
        ),
        (
            'contract = "pause_registry", method = "isPaused" }',
            'contract = "pause_registry", method = "isPaused", args = ["{reasn}"] }',
            "pause.everything: {reasn} is no argument of its call (did you mean reason?)",
        ),
        (
            'call = { contract = "payment_hub", method = "isPaused" }',
            'call = { contract = "payment_hub", method = "isPaused", args = ["{app_id}"] }',
            "probes.a payment.call: {app_id} has no value in a probe; write the argument itself",
        ),
        (
            'witness = ["payment_hub", "gas"]',
            'witness = ["payment_hob", "gas"]',
            "probes.a payment.witness: 'payment_hob' is not defined (did you mean payment_hub?)",
        ),
        (
            'stopped_by = ["everything"]',
            'stopped_by = ["anything"]',
            "probes.a payment.stopped_by: 'anything' is not defined (did you mean everything?)",
        ),
        (
            'contracts = ["payment_hub"]',
            'contracts = ["vault"]',
            "rules.gas-outflow.contracts: 'vault' is not defined",
        ),
        (
            'public_key = "03',
            'public_key = "02',
            "people: alice and bob have the same public_key; who holds one key is one person",
        ),
        ('IC = ["alice"]', 'IC = ["alic"]', "roles.IC: 'alic' is not defined (did you mean alice?)"),
        (
            "[contracts.payment_hub]",
            "[contracts.gas]\nhash = '0x0000000000000000000000000000000000000002'\n[contracts.payment_hub]",
            "contracts.gas: this is the name of a native contract; choose another",
        ),
        (
            'name = "backup"',
            'name = "own-node"',
            "network.endpoints: 'own-node' is the name of 2 entries; names must differ",
        ),
        (
            "quorum = 2 ",
            "quorum = 3 ",
            "network.quorum: more providers must agree than there are (nodes of one provider count once)",
        ),
        (
            'provider = "somebody else"',
            'provider = "us"',
            "network.quorum: more providers must agree than there are (nodes of one provider count once)",
        ),
    ],
)
def test_a_name_that_points_nowhere_is_an_error(configuration: Configuration, old: str, new: str, problem: str) -> None:
    assert configuration.replace(old, new).problems() == [problem]


def test_nobody_can_be_enrolled_as_tocsin_itself(configuration: Configuration) -> None:
    configuration.append(f'[people.tocsin]\nname = "Mallory"\npublic_key = "02{"11" * 32}"')
    assert configuration.problems() == ["people.tocsin: this is the name of Tocsin itself; choose another"]


def test_two_rules_of_one_name_would_share_their_windows(configuration: Configuration) -> None:
    configuration.append(
        '[[rules]]\nname = "gas-outflow"\nemergency = "e"\nsymptom = "s"\ncontracts = ["gas"]\ncondition = "true"'
    )
    assert configuration.problems() == ["rules: 'gas-outflow' is the name of 2 entries; names must differ"]


def test_a_contract_may_be_named_by_its_hash_everywhere(configuration: Configuration) -> None:
    configuration.replace('contracts = ["payment_hub"]', f'contracts = ["{ACCOUNT}"]')
    configuration.replace('witness = ["payment_hub", "gas"]', f'witness = ["{ACCOUNT}", "neo"]')
    configuration.replace('call = { contract = "payment_hub"', f'call = {{ contract = "{ACCOUNT}"')
    settings = configuration.read()
    assert settings.rules[0].contracts == (ACCOUNT,)


# The environment


def test_the_environment_wins_over_the_file(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_MODE", "ask")
    monkeypatch.setenv("TOCSIN_NETWORK__QUORUM", "1")
    monkeypatch.setenv("TOCSIN_PRINCIPAL", "alice")
    monkeypatch.setenv("TOCSIN_VARIABLES__RPC", "https://rpc.example.net")
    settings = configuration.read()
    assert (settings.mode, settings.network.quorum, settings.principal) == (Autonomy.ASK, 1, "alice")
    assert len(settings.network.endpoints) == 2  # what the variable does not name stays
    assert settings.variables["rpc"] == "https://rpc.example.net"
    assert settings.variables["wallet"] == "wallets/pause.json"


def test_an_empty_variable_changes_nothing(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_MODE", "")
    assert configuration.read().mode is Autonomy.OBSERVE


def test_other_variables_of_the_name_are_let_be(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_PAUSE_PASSWORD", "secret")
    monkeypatch.setenv("TOCSIN_CONFIG", str(configuration.path))
    assert configuration.read().mode is Autonomy.OBSERVE


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("TOCSIN_MODE", "fly", "mode: "),
        ("TOCSIN_NETWORK__QORUM", "2", "network.qorum: unknown key (did you mean quorum?)"),
        ("TOCSIN_NETWORK__QUORUM", "7", "network.quorum: more providers must agree"),
        ("TOCSIN_PAUSE", "yes", "the environment: "),
    ],
)
def test_a_wrong_variable_is_an_error_of_the_configuration(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    (found,) = configuration.problems()
    assert found.startswith(problem)


# The file itself


def test_a_file_that_is_no_toml_is_refused_with_the_place(configuration: Configuration) -> None:
    error = configuration.prepend("name: my platform").error()
    assert error.code == "configuration-unreadable"
    assert "line 1, column 5" in error.message


def test_a_file_that_is_no_text_is_refused(configuration: Configuration) -> None:
    configuration.path.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigurationInvalid, match="can't be read"):
        read_settings(configuration.path)


def test_a_file_that_is_too_large_is_refused(configuration: Configuration) -> None:
    error = configuration.append("#" * CONFIGURATION_BYTES_MAX).error()
    assert error.code == "configuration-too-large"


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="can't be read"):
        read_settings(tmp_path)


def test_the_file_that_is_given_comes_before_the_variable_and_that_before_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named, here = tmp_path / "given.toml", tmp_path / "named.toml", tmp_path / "tocsin.toml"
    for path in (given, named, here):
        path.touch()
    monkeypatch.chdir(tmp_path)
    assert find_settings(None) == Path("tocsin.toml")
    monkeypatch.setenv("TOCSIN_CONFIG", str(named))
    assert find_settings(None) == named
    assert find_settings(given) == given


def test_where_there_is_no_configuration_the_next_step_is_to_write_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="there is no configuration") as missing:
        find_settings(None)
    assert "tocsin init" in missing.value.next_step

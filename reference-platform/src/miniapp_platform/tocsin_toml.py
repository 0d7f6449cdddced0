"""Writes the `tocsin.toml` that describes a running platform, as a customer would describe theirs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from miniapp_platform.accounts import KeyAccount, write_private
from miniapp_platform.deploy import MINI_APP_ID, VULNERABLE_APP_ID
from miniapp_platform.platform import Platform
from miniapp_platform.script import GAS

CONFIGURATION = "tocsin.toml"
APPS = {"mini_app": MINI_APP_ID, "vulnerable_app": VULNERABLE_APP_ID}
SCOPES = {"everything": "all", "one-app": "app"}
"""What `tocsin pause` takes for `--all` and for `--app`."""
RESUMES: Mapping[str, Mapping[str, "TomlValue"]] = {
    "everything": {"contract": "pause_registry", "method": "resumeAll"},
    "one-app": {"contract": "pause_registry", "method": "setPaused", "args": ["false", "{app_id}"]},
}

type TomlValue = str | int | float | bool | Sequence[TomlValue] | Mapping[str, TomlValue]


def write_tocsin_toml(platform: Platform, runbook: Path, *, mode: str = "act") -> Path:
    """Writes `tocsin.toml` (and the password file it names) into the platform's folder; returns its path.

    `mode` is Tocsin's autonomy on this platform; `runbook` the document it is to follow.
    """
    folder = platform.directory
    write_private(folder / "password", platform.accounts.wallet_password)
    path = folder / CONFIGURATION
    write_private(path, "\n".join(_lines(platform, runbook, mode)) + "\n")
    return path


def _lines(platform: Platform, runbook: Path, mode: str) -> Sequence[str]:
    accounts = platform.accounts
    pause_all = {"contract": "pause_registry", "method": "pauseAll"}
    is_paused = {"contract": "pause_registry", "method": "isPaused"}
    everything = ["everything", "everything-without-reason"]
    lines = [
        f"name = {_toml('reference platform')}",
        f"mode = {_toml(mode)}",
        f"runbook = {_toml(str(runbook.resolve()))}",
        f"state = {_toml('tocsin-state')}",
        f"principal = {_toml('alice')}",
    ]
    lines += _table("network", {"magic": platform.magic, "quorum": 2})
    for node in platform.nodes:
        endpoint = {"name": node.name, "provider": node.provider, "url": node.http_url, "ws": node.ws_url}
        lines += _table("network.endpoints", endpoint, repeated=True)
    for purpose, account in (("pause", accounts.operator), ("refill", accounts.refill)):
        lines += _table(f"keys.{purpose}", _wallet(account))
    admin: Sequence[str] = [guardian.public_key_hex for guardian in accounts.admin.members]
    lines += _table("accounts.admin", {"m": accounts.admin.threshold, "public_keys": admin})
    for name, hash_ in _by_name(platform).items():
        guarded = name in ("payment_hub", "vulnerable_app")
        app = {"app": APPS[name]} if name in APPS else {}
        lines += _table(f"contracts.{name}", {"hash": hash_, "guarded": guarded, **app})
    lines += _table("variables", _variables(platform))
    pauses: Sequence[tuple[str, str, Mapping[str, TomlValue], Mapping[str, TomlValue]]] = (
        ("everything", "everything", {**pause_all, "args": ["{reason}"]}, is_paused),
        ("everything-without-reason", "everything", pause_all, is_paused),
        (
            "one-app",
            "the app {app_id}",
            {"contract": "pause_registry", "method": "setPaused", "args": ["true", "{app_id}"]},
            {**is_paused, "args": ["{app_id}"]},
        ),
        (
            "payments",
            "payments",
            {"contract": "payment_hub", "method": "setPaused", "args": ["true"]},
            {"contract": "payment_hub", "method": "isPaused"},
        ),
    )
    for name, stops, call, paused in pauses:
        scope = {"scope": SCOPES[name]} if name in SCOPES else {}
        resume = {"resume": RESUMES[name]} if name in RESUMES else {}
        entry: Mapping[str, TomlValue] = {
            "name": name,
            **scope,
            "stops": stops,
            "call": call,
            "paused": paused,
            **resume,
        }
        lines += _table("pause", entry, repeated=True)
    probe = accounts.probe.hash
    lines += _table(
        "probes",
        {
            "name": f"an order in the app {MINI_APP_ID}",
            "call": {"contract": "mini_app", "method": "order", "args": [probe, "1000000", "probe"]},
            "account": probe,
            "witness": ["mini_app", "gas"],
            "reason": "paused",
            "stopped_by": [*everything, "payments"],
        },
        repeated=True,
    )
    lines += _table(
        "probes",
        {
            "name": f"a user entering the app {VULNERABLE_APP_ID}",
            "call": {"contract": "vulnerable_app", "method": "enter", "args": [probe]},
            "account": probe,
            "witness": ["vulnerable_app"],
            "reason": "paused",
            "stopped_by": [*everything, "one-app"],
            "app": VULNERABLE_APP_ID,
        },
        repeated=True,
    )
    lines += _table(
        "rules",
        {
            "name": "gas-outflow",
            "emergency": "smart-contract-exploit",
            "symptom": "Unusual fund movements",
            "signal": "outflow",
            "contracts": ["payment_hub", "vulnerable_app"],
            "window": 60,
            "known_recipients": [accounts.app_owner.hash],
            "condition": '!recipient_known && (amount_ge(sum, "50") || share_percent >= 5)',
        },
        repeated=True,
    )
    responders = accounts.responders
    people = {"alice": responders.alice, "bob": responders.bob, "carol": responders.carol}
    # A guardian's own key is a share of the admin account: it is used as that person's, never as the platform's.
    people |= {guardian.name: guardian for guardian in accounts.guardians}
    for name, account in people.items():
        person = {"name": name.title(), "public_key": account.public_key_hex, "key": _wallet(account)}
        lines += _table(f"people.{name}", person)
    lines += _table("roles", {"IC": ["alice"], "TL": ["bob"], "CL": ["carol"]})
    return lines


def _by_name(platform: Platform) -> Mapping[str, str]:
    contracts = platform.contracts
    return {name: getattr(contracts, name) for name in type(contracts).__dataclass_fields__}


def _variables(platform: Platform) -> Mapping[str, str]:
    """What the placeholders of the runbook's command lines stand for, as far as this platform has it."""
    contracts, url = platform.contracts, platform.nodes[0].http_url
    return {
        "wallet": str(platform.wallet(platform.accounts.operator.name)),
        "rpc": url,
        "rpc_url": url,
        "backup_rpc_url": platform.nodes[1].http_url,
        "pause_registry": contracts.pause_registry,
        "pause_registry_hash": contracts.pause_registry,
        "contract_hash": contracts.pause_registry,
        "contract": contracts.payment_hub,
        "payment_hub": contracts.payment_hub,
        "gas_bank": contracts.gas_bank,
        "gas_bank_contract": contracts.gas_bank,
        "platform_address": platform.accounts.admin.hash,
        "gas_contract": f"0x{GAS}",
        "app_id": VULNERABLE_APP_ID,
    }


def _wallet(account: KeyAccount) -> Mapping[str, TomlValue]:
    return {"wallet": f"wallets/{account.name}.json", "password_file": "password"}


def _table(name: str, values: Mapping[str, TomlValue], *, repeated: bool = False) -> Sequence[str]:
    header = f"[[{name}]]" if repeated else f"[{name}]"
    return ["", header, *(f"{key} = {_toml(value)}" for key, value in values.items())]


def _toml(value: TomlValue) -> str:
    """A value in TOML; its basic strings are those of JSON."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return str(value)
        case Mapping():
            return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
        case _:
            return f"[{', '.join(_toml(item) for item in value)}]"

"""Every command line of EMERGENCY_RUNBOOK.md: where it stands, its logical line, and what it means."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runbook.documents import RUNBOOK_BYTES, RUNBOOK_SHA256, sha256
from tocsin.domain.canonical import Json
from tocsin.runbook.as_json import runbook_json
from tocsin.runbook.compile import compile_runbook

type Row = tuple[int, str, str | None, Mapping[str, Json] | str]

PAUSE = "neo-go contract invokefunction -w <wallet> -r <rpc>"
WITH = {"rpc": "<rpc>", "wallet": "<wallet>"}
BLOCK_COUNT = '-H "Content-Type: application/json" -d \'{"jsonrpc":"2.0","method":"getblockcount","params":[],"id":1}\''

BEARER = '-H "Authorization: Bearer <token>" -d \'{"to_address":"<platform>","amount":"<GAS>"}\''

# line, logical line, action, its arguments (or, without an action, the reason why it is manual)
TABLE: list[Row] = [
    (
        55,
        f"{PAUSE} <pause_registry_hash> pauseAll <emergency_reason>",
        "contract.pause",
        {"contract": "<pause_registry_hash>", "method": "pauseAll", "args": ["<emergency_reason>"], **WITH},
    ),
    (
        59,
        f"{PAUSE} <contract_hash> setPaused true <app_id>",
        "contract.pause",
        {"contract": "<contract_hash>", "method": "setPaused", "args": ["true", "<app_id>"], **WITH},
    ),
    (
        100,
        f"curl -X POST https://<rpc_url> {BLOCK_COUNT}",
        "rpc.query",
        {"url": "https://<rpc_url>", "method": "getblockcount", "params": []},
    ),
    (
        104,
        "neo-go cli node state -r <rpc_url>",
        None,
        "neo-go has no command `cli node state`; `neo-go query height -r <rpc>` asks a node for its height",
    ),
    (
        111,
        "export NEO_RPC_URL=<backup_rpc_url>",
        None,
        "it changes this one shell only, not the services; `rpc.failover` changes them",
    ),
    (
        114,
        "kubectl set env deployment/platform-edge NEO_RPC_URL=<backup_url>",
        "workload.set_environment",
        {"deployment": "platform-edge", "variables": {"NEO_RPC_URL": "<backup_url>"}},
    ),
    (
        143,
        "neo-go contract testinvokefunction -r <rpc> <gas_bank_contract> getBalance <platform_address>",
        "contract.read",
        {"contract": "<gas_bank_contract>", "method": "getBalance", "args": ["<platform_address>"], "rpc": "<rpc>"},
    ),
    (
        151,
        f"{PAUSE} <gas_contract> transfer <platform_address> <amount> refill",
        "gas.refill",
        {
            "contract": "<gas_contract>",
            "method": "transfer",
            "args": ["<platform_address>", "<amount>", "refill"],
            **WITH,
        },
    ),
    (
        155,
        f"curl -X POST https://<txproxy>/transferGas {BEARER}",
        "http.post",
        {
            "url": "https://<txproxy>/transferGas",
            "headers": ["Authorization: Bearer <token>"],
            "body": '{"to_address":"<platform>","amount":"<GAS>"}',
        },
    ),
    (187, "kubectl get pods -n marble-run", "workload.status", {"namespace": "marble-run"}),
    (190, "curl https://<tee_service>/health", "http.get", {"url": "https://<tee_service>/health"}),
    (
        201,
        "kubectl rollout restart deployment/<tee_service> -n marble-run",
        "workload.restart",
        {"namespace": "marble-run", "deployment": "<tee_service>"},
    ),
    (
        226,
        "curl https://<project>.supabase.co/rest/v1/health",
        "http.get",
        {"url": "https://<project>.supabase.co/rest/v1/health"},
    ),
    (
        229,
        'psql -h <db_host> -U <user> -c "SELECT 1;"',
        "database.query",
        {"host": "<db_host>", "user": "<user>", "sql": "SELECT 1;"},
    ),
    (
        263,
        "neo-go contract testinvokefunction -r <rpc> <payment_hub> isPaused",
        "contract.read",
        {"contract": "<payment_hub>", "method": "isPaused", "args": [], "rpc": "<rpc>"},
    ),
    (
        273,
        f"{PAUSE} <pause_registry> pauseAll <reason>",
        "contract.pause",
        {"contract": "<pause_registry>", "method": "pauseAll", "args": ["<reason>"], **WITH},
    ),
    (
        277,
        f"{PAUSE} <payment_hub> setPaused true",
        "contract.pause",
        {"contract": "<payment_hub>", "method": "setPaused", "args": ["true"], **WITH},
    ),
    (
        355,
        f"{PAUSE} <contract> restoreState <backup_data>",
        "state.restore",
        {"contract": "<contract>", "method": "restoreState", "args": ["<backup_data>"], **WITH},
    ),
    (359, "psql < backup.sql", "database.restore", {"file": "backup.sql"}),
    (
        370,
        f"{PAUSE} <pause_registry> pauseAll",
        "contract.pause",
        {"contract": "<pause_registry>", "method": "pauseAll", "args": [], **WITH},
    ),
    (
        373,
        "neo-go contract testinvokefunction -r <rpc> <contract> isPaused",
        "contract.read",
        {"contract": "<contract>", "method": "isPaused", "args": [], "rpc": "<rpc>"},
    ),
    (
        376,
        "neo-go contract testinvokefunction -r <rpc> <gas_bank> getBalance",
        "contract.read",
        {"contract": "<gas_bank>", "method": "getBalance", "args": [], "rpc": "<rpc>"},
    ),
    (
        379,
        "kubectl rollout restart deployment -n marble-run",
        "workload.restart",
        {"namespace": "marble-run", "deployment": None},
    ),
    (
        382,
        f"curl -X POST https://<rpc>/ {BLOCK_COUNT}",
        "rpc.query",
        {"url": "https://<rpc>/", "method": "getblockcount", "params": []},
    ),
    (
        386,
        "kubectl logs -f deployment/<service> -n <namespace>",
        "workload.logs",
        {"namespace": "<namespace>", "workload": "deployment/<service>"},
    ),
]


def commands_in(value: Json) -> Iterator[Mapping[str, Any]]:
    """Every object with a key `command` in a JSON value."""
    if isinstance(value, dict):
        if "command" in value:
            yield value
        for item in value.values():
            yield from commands_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from commands_in(item)


def test_the_runbook_is_the_one_that_was_handed_over() -> None:
    assert sha256(RUNBOOK_BYTES) == RUNBOOK_SHA256


def test_every_command_line_means_what_the_table_says() -> None:
    found: list[Row] = []
    for command in compile_runbook(RUNBOOK_BYTES, "E.md").commands():
        call = command.call
        assert (call is None) == (command.manual is not None)
        assert command.position.column == 5 if command.position.line < 350 else 1
        if call is not None:
            assert call.position == command.position
            assert call.inferred
        meaning = call.arguments if call else command.manual or ""
        found.append((command.position.line, command.text, call.action if call else None, meaning))
    assert found == TABLE


def test_the_table_has_every_line_that_begins_a_command_in_a_bash_fence() -> None:
    expected: list[int] = []
    in_fence = continued = False
    for number, line in enumerate(RUNBOOK_BYTES.decode().split("\n"), start=1):
        text = line.strip()
        if text.startswith("```"):
            in_fence = text == "```bash"
        elif in_fence and text and not text.startswith("#"):
            if not continued:
                expected.append(number)
            continued = text.endswith("\\")
    assert [line for line, *_ in TABLE] == expected


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_json_shows_each_command_with_its_action_or_its_reason(row: Row) -> None:
    line, text, action, meaning = row
    shown = json.loads(json.dumps(runbook_json(compile_runbook(RUNBOOK_BYTES, "E.md"))))
    (command,) = [each for each in commands_in(shown) if each["line"] == line]
    assert command["command"] == text
    assert command["file"] == "E.md"
    if action is None:
        assert command["manual"] == meaning
        assert "action" not in command
    else:
        assert (command["action"], command["arguments"]) == (action, meaning)
        assert "manual" not in command

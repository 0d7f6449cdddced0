"""Which command lines become actions, and which stay with people and why."""

from collections.abc import Mapping

import pytest

from tocsin.domain.actions import SourcePosition
from tocsin.domain.canonical import Json
from tocsin.runbook.blocks import Fence, FenceLine
from tocsin.runbook.commands import read_commands
from tocsin.runbook.model import Command


def command(text: str) -> Command:
    position = SourcePosition("F.md", 2)
    lines = tuple(FenceLine(line, position) for line in text.split("\n"))
    (only,) = read_commands(Fence("bash", lines, position)).commands
    return only


def action(text: str) -> tuple[str, Mapping[str, Json]]:
    found = command(text)
    assert found.call is not None, found.manual
    return found.call.action, found.call.arguments


def manual(text: str) -> str:
    found = command(text)
    assert found.call is None, found.call
    assert found.manual is not None
    return found.manual


# neo-go


def test_signers_stand_behind_two_hyphens() -> None:
    verb, arguments = action("neo-go contract invokefunction -w w.json <hub> setFee 5 -- NAddr:CalledByEntry NB:Global")
    assert verb == "contract.invoke"
    assert arguments == {
        "contract": "<hub>",
        "method": "setFee",
        "args": ["5"],
        "wallet": "w.json",
        "signers": ["NAddr:CalledByEntry", "NB:Global"],
    }


@pytest.mark.parametrize(
    ("call", "verb"),
    [
        ("<registry> pauseAll", "contract.pause"),
        ("<registry> setPaused true <app>", "contract.pause"),
        ("<registry> setPaused false <app>", "contract.invoke"),
        ("<registry> resumeAll", "contract.invoke"),
        ("<hub> restoreState <data>", "state.restore"),
        ("<token> transfer <from> <to> 5 null", "contract.invoke"),
        ("<token> transfer <from> <to> 5 refill", "gas.refill"),
        ("<gas_contract> transfer <from> <to> 5 null", "gas.refill"),
        ("<gas> transfer <from> <to> 5 null", "gas.refill"),
        ("GasToken transfer <from> <to> 5 null", "gas.refill"),
        ("0xd2a4cff31913016155e38e474a2c06d08be276cf transfer <from> <to> 5 null", "gas.refill"),
        ("<gas_bank_contract> transfer <from> <to> 5 null", "contract.invoke"),
        ("<hub> withdraw -5", "contract.invoke"),
    ],
)
def test_the_method_says_which_action_an_invocation_is(call: str, verb: str) -> None:
    assert action(f"neo-go contract invokefunction -w <wallet> -r <rpc> --await {call}")[0] == verb


def test_a_test_invocation_only_reads_whatever_it_calls() -> None:
    assert action("neo-go contract testinvokefunction -r <rpc> <registry> pauseAll")[0] == "contract.read"


@pytest.mark.parametrize(
    ("query", "method", "params"),
    [
        ("height", "getblockcount", []),
        ("committee", "getcommittee", []),
        ("candidates", "getcandidates", []),
        ("tx <hash>", "getrawtransaction", ["<hash>", True]),
    ],
)
def test_queries_become_the_call_that_answers_them(query: str, method: str, params: list[Json]) -> None:
    expected = {"url": "http://<rpc>", "method": method, "params": params}
    assert action(f"neo-go query {query} -r http://<rpc>") == ("rpc.query", expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("neo-go", "no action for `neo-go`"),
        ("neo-go cli node state", "no command `cli node state`"),
        ("neo-go chain height", "no command `chain`"),
        ("neo-go wallet nep17 transfer", "no action for `neo-go wallet nep17`"),
        ("neo-go query voter <address>", "no action for `neo-go query voter <address>`"),
        ("neo-go contract invokefunction -w w", "names no contract"),
        ("neo-go contract invokefunction -w w <c>", "names no method"),
        ("neo-go contract invokefunction <c> pauseAll -w w", "stands behind the arguments"),
        ("neo-go contract invokefunction --force -w w <c> pauseAll", "would send what FAULTs"),
        ("neo-go contract invokefunction --out tx.json -w w <c> pauseAll", "sends nothing"),
        ("neo-go contract invokefunction -g 1 -w w <c> pauseAll", "works out the fees"),
        ("neo-go contract invokefunction --new -w w <c> pauseAll", "does not know what --new"),
        ("neo-go contract invokefunction -w a -w b <c> pauseAll", "gives wallet 2 times"),
        ("neo-go contract invokefunction -w", "-w lacks its value"),
        ("neo-go contract invokefunction -w w <c> act int:5", "gives the type of an argument (int:5)"),
        ("neo-go contract invokefunction -w w <c> act [ a ]", "array or map"),
        ("neo-go contract testinvokefunction --historic 5 -r r <c> get", "old state"),
    ],
)
def test_what_neo_go_lines_stay_manual(text: str, reason: str) -> None:
    assert reason in manual(text)


# curl


def test_a_get_is_a_get_whatever_it_prints() -> None:
    assert action("curl -sSf -m 5 --retry 3 https://a.example/health") == (
        "http.get",
        {"url": "https://a.example/health"},
    )


def test_headers_are_carried_along_as_they_are_written() -> None:
    expected = {"url": "https://<project>/auth", "headers": ["apikey: <key>"]}
    assert action('curl https://<project>/auth -H "apikey: <key>"') == ("http.get", expected)


def test_json_rpc_is_told_from_other_posts() -> None:
    body = '{"jsonrpc":"2.0","method":"getnep17balances","params":["<address>"],"id":1}'
    expected = {"url": "http://<rpc>", "method": "getnep17balances", "params": ["<address>"]}
    assert action(f"curl -d '{body}' http://<rpc>") == ("rpc.query", expected)
    assert action("curl --json '{\"a\": 1.5}' <url>/x") == (
        "http.post",
        {"url": "<url>/x", "headers": ["Content-Type: application/json"], "body": '{"a": 1.5}'},
    )
    assert action("curl -X POST <url>/stop") == ("http.post", {"url": "<url>/stop"})


@pytest.mark.parametrize("method", ["sendrawtransaction", "submitblock", "submitnotaryrequest", "<method>", "shutdown"])
def test_json_rpc_that_may_change_something_is_no_query(method: str) -> None:
    assert "none of those that only read" in manual(f'curl -d \'{{"jsonrpc":"2.0","method":"{method}"}}\' http://<rpc>')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("curl", "names no address"),
        ("curl https://a https://b", "asks 2 addresses"),
        ("curl file:///etc/passwd", "no address that begins with http"),
        ("curl a.example", "no address that begins with http"),
        ("curl -k https://a", "server's certificate"),
        ("curl -u me:word https://a", "password"),
        ("curl -X DELETE https://a", "HTTP DELETE"),
        ("curl -X GET -d x https://a", "HTTP GET with a body"),
        ("curl -I https://a", "headers only"),
        ("curl -o f https://a", "writes a file"),
        ("curl -d @body.json https://a", "content of the file body.json"),
        ("curl -d a -d b https://a", "several pieces"),
        ("curl -sZ https://a", "does not know what -Z"),
        ('curl -d \'{"jsonrpc":"2.0","method":"getpeers","params":{}}\' https://a', "`params` a list"),
    ],
)
def test_what_curl_lines_stay_manual(text: str, reason: str) -> None:
    assert reason in manual(text)


# kubectl


@pytest.mark.parametrize(
    ("text", "verb", "arguments"),
    [
        ("kubectl get pods", "workload.status", {}),
        ("kubectl get pod/<pod> -n=tee", "workload.status", {"namespace": "tee", "pod": "<pod>"}),
        ("kubectl get po -l app=edge -o wide -w", "workload.status", {"selector": "app=edge"}),
        ("kubectl logs -f <pod>", "workload.logs", {"workload": "pod/<pod>"}),
        (
            "kubectl logs deploy/edge --tail=50 --since 1h -c web -p",
            "workload.logs",
            {"workload": "deployment/edge", "container": "web", "tail": 50, "since": "1h", "previous": True},
        ),
        ("kubectl rollout restart deployment edge", "workload.restart", {"deployment": "edge"}),
        ("kubectl rollout restart -n x deploy/edge", "workload.restart", {"namespace": "x", "deployment": "edge"}),
        (
            "kubectl set env deployment edge A=1 B='x y' --namespace=n",
            "workload.set_environment",
            {"namespace": "n", "deployment": "edge", "variables": {"A": "1", "B": "x y"}},
        ),
    ],
)
def test_kubectl_actions(text: str, verb: str, arguments: Mapping[str, Json]) -> None:
    assert action(text) == (verb, arguments)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kubectl delete pod x", "no action for `kubectl delete pod`"),
        ("kubectl exec -it x -- sh", "no action for `kubectl exec -it`"),
        ("kubectl get nodes", "only for pods"),
        ("kubectl get pods -A", "all namespaces"),
        ("kubectl get pods --context other", "set in tocsin.toml"),
        ("kubectl logs", "must name one"),
        ("kubectl logs statefulset/db", "logs of a statefulset"),
        ("kubectl logs x --tail=-1", "bounded number"),
        ("kubectl rollout restart statefulset/db", "statefulset is no deployment"),
        ("kubectl rollout restart deployment/a deployment/b", "several deployments"),
        ("kubectl rollout restart deployment -l app=x", "by a rule"),
        ("kubectl rollout restart", "names no deployment"),
        ("kubectl rollout restart deployment/A_b", "no name that Kubernetes accepts"),
        ("kubectl rollout restart deployment --all", "by a rule"),
        ("kubectl set env deployment/x", "sets no variable"),
        ("kubectl set env deployment/x A-", "A- is no deployment"),
        ("kubectl set env deployment A=1", "must name one deployment"),
        ("kubectl set env deployment/x A=1 A=2", "sets no variable once"),
    ],
)
def test_what_kubectl_lines_stay_manual(text: str, reason: str) -> None:
    assert reason in manual(text)


# psql


@pytest.mark.parametrize(
    ("text", "verb", "arguments"),
    [
        ("psql < ~/b.sql", "database.restore", {"file": "~/b.sql"}),
        ("psql shop me -f b.sql", "database.restore", {"user": "me", "database": "shop", "file": "b.sql"}),
        (
            "psql -h h -p 5432 -d shop -c 'select count(*) from pg_stat_activity'",
            "database.query",
            {"host": "h", "port": "5432", "database": "shop", "sql": "select count(*) from pg_stat_activity"},
        ),
    ],
)
def test_psql_actions(text: str, verb: str, arguments: Mapping[str, Json]) -> None:
    assert action(text) == (verb, arguments)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("psql", "prompt"),
        ("psql -W -c 'SELECT 1'", "password"),
        ("psql -c 'DROP TABLE x'", "none of those that only read"),
        ("psql -c 'SELECT 1; DROP TABLE x'", "several statements"),
        ("psql -c 'SELECT pg_terminate_backend(1)'", "pg_terminate_backend"),
        ("psql -c 'SELECT 1 INTO t'", "INTO"),
        ("psql -c 'EXPLAIN ANALYZE DELETE FROM t'", "ANALYZE"),
        ("psql -c '\\! rm'", "command of psql"),
        ("psql -c 'SELECT 1' -f x", "several things"),
        ("psql -c 'SELECT 1' -c 'SELECT 2'", "gives sql 2 times"),
        ("psql a b c", "more than a database"),
    ],
)
def test_what_psql_lines_stay_manual(text: str, reason: str) -> None:
    assert reason in manual(text)


# anything else


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("export NEO_RPC_URL=x", "`rpc.failover` changes them"),
        ("export LOG_LEVEL=debug", "`workload.set_environment` changes them"),
        ("NEO_RPC_URL=x", "`rpc.failover` changes them"),
        ("LOG=1 neo-go query height", "for one program"),
        ("cd /srv", "this one shell only"),
        ("systemctl restart neo-go", "no action for `systemctl`"),
        ("sudo kubectl get pods", "no action for `sudo`"),
        ("kubectl get pods | grep edge", "combines commands by |"),
        ("kubectl apply < x.yaml", "feeds the file x.yaml to kubectl"),
        ("'' x", "no action for"),
        ("psql 'open", "never closed"),
    ],
)
def test_anything_else_is_manual_with_a_reason(text: str, reason: str) -> None:
    assert reason in manual(text)


def test_a_program_may_be_given_by_its_path() -> None:
    assert action("/usr/local/bin/neo-go query height")[0] == "rpc.query"

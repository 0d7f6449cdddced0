"""`kubectl` command lines: pods, logs, restarts and environment variables of deployments."""

import re
from collections.abc import Sequence

from tocsin.domain.canonical import Json
from tocsin.runbook.programs.options import Grammar, NotRecognised, Parsed, Recognised, each, parse, present

_NAMESPACE = each("namespace", "-n", "--namespace")
_SELECTOR = each("selector", "-l", "--selector")
_OTHER_CLUSTER = each(
    "which cluster is asked, and as whom, is set in tocsin.toml",
    *("--context", "--cluster", "--kubeconfig", "--server", "-s", "--token", "--as", "--user"),
)
_GET = Grammar(
    valued={**_NAMESPACE, **_SELECTOR, **each("output", "-o", "--output")},
    flags={**each("watch", "-w", "--watch"), **each("output", "--no-headers", "--show-labels")},
    refused={**_OTHER_CLUSTER, **each("it asks all namespaces: name one", "-A", "--all-namespaces")},
)
_LOGS = Grammar(
    valued={**_NAMESPACE, **each("container", "-c", "--container"), "--tail": "tail", "--since": "since"},
    # Following and time stamps are a matter of display: the action reads a bounded tail.
    flags={**each("display", "-f", "--follow", "--timestamps"), **each("previous", "-p", "--previous")},
    refused=_OTHER_CLUSTER,
)
_CHANGE = Grammar(
    valued=_NAMESPACE,
    flags={},
    refused={**_OTHER_CLUSTER, **each("it picks deployments by a rule: name them", "-l", "--selector", "--all")},
)

_KINDS = frozenset({"deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"})
_NAME = re.compile(r"(?:[a-z0-9.-]|<[^<>]+>)+")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


def recognise(words: Sequence[str]) -> Recognised:
    """The action of the words after `kubectl`.

    Raises:
        NotRecognised: see its message.
    """
    match list(words):
        case ["get", *rest]:
            return _get(parse(rest, _GET))
        case ["logs", *rest]:
            return _logs(parse(rest, _LOGS))
        case ["rollout", "restart", *rest]:
            return _restart(parse(rest, _CHANGE))
        case ["set", "env", *rest]:
            return _set_environment(parse(rest, _CHANGE))
        case _:
            raise NotRecognised(f"Tocsin has no action for `{' '.join(['kubectl', *words[:2]])}`")


def _get(parsed: Parsed) -> Recognised:
    match parsed.words:
        case ("pods" | "pod" | "po",):
            pod = None
        case ("pods" | "pod" | "po", name):
            pod = _name(name)
        case (one,) if one.startswith(("pod/", "pods/", "po/")):
            pod = _name(one.partition("/")[2])
        case _:
            raise NotRecognised(f"Tocsin has no action for `{' '.join(['kubectl get', *parsed.words])}`, only for pods")
    selector = parsed.one("selector")
    return Recognised("workload.status", present(namespace=_namespace(parsed), pod=pod, selector=selector))


def _logs(parsed: Parsed) -> Recognised:
    if len(parsed.words) != 1:
        raise NotRecognised("it must name one pod or deployment")
    kind, slash, name = parsed.words[0].partition("/")
    workload = f"deployment/{_name(name)}" if slash and kind in _KINDS else f"pod/{_name(name if slash else kind)}"
    if slash and kind not in _KINDS | {"pod", "pods", "po"}:
        raise NotRecognised(f"Tocsin has no action for the logs of a {kind}")
    tail = parsed.one("tail")
    if tail is not None and _NUMBER.fullmatch(tail) is None:
        raise NotRecognised(f"--tail {tail}: Tocsin reads a bounded number of lines")
    return Recognised(
        "workload.logs",
        present(
            namespace=_namespace(parsed),
            workload=workload,
            container=parsed.one("container"),
            tail=None if tail is None else int(tail),
            since=parsed.one("since"),
            previous=True if "previous" in parsed.flags else None,
        ),
    )


def _restart(parsed: Parsed) -> Recognised:
    """The restart of one deployment, or of all in the namespace (`deployment` is None then)."""
    deployments, rest = _deployments(parsed)
    if rest or len(deployments) > 1:
        raise NotRecognised("it restarts several deployments: write one a line")
    deployment = deployments[0] if deployments else None
    return Recognised("workload.restart", {**present(namespace=_namespace(parsed)), "deployment": deployment})


def _set_environment(parsed: Parsed) -> Recognised:
    deployments, rest = _deployments(parsed)
    if len(deployments) != 1:
        raise NotRecognised("it must name one deployment")
    variables: dict[str, Json] = {}
    for word in rest:
        if (match := _VARIABLE.fullmatch(word)) is None or match["name"] in variables:
            raise NotRecognised(f"{word} sets no variable once, as NAME=value does")
        variables[match["name"]] = match["value"]
    if not variables:
        raise NotRecognised("it sets no variable")
    arguments = present(namespace=_namespace(parsed), deployment=deployments[0], variables=variables)
    return Recognised("workload.set_environment", arguments)


def _deployments(parsed: Parsed) -> tuple[list[str], list[str]]:
    """The deployments named by `deployment/x` or `deployment x`, and the `NAME=value` words behind them."""
    rest = [word for word in parsed.words if "=" in word]
    match [word for word in parsed.words if "=" not in word]:
        case [kind, *names] if kind in _KINDS:
            return [_name(name) for name in names], rest
        case [*each] if each:
            split = [word.partition("/") for word in each]
            for kind, _, _ in split:
                if kind not in _KINDS:
                    raise NotRecognised(f"{kind} is no deployment, and Tocsin changes only those")
            return [_name(name) for _, _, name in split], rest
        case _:
            raise NotRecognised("it names no deployment")


def _namespace(parsed: Parsed) -> str | None:
    namespace = parsed.one("namespace")
    return None if namespace is None else _name(namespace)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise NotRecognised(f"{text!r} is no name that Kubernetes accepts")
    return text

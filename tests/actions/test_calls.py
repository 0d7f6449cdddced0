"""A call as a runbook writes it, held against the contract's manifest."""

import pytest

from tocsin.actions.calls import CallSpec, match_manifest
from tocsin.connect.ports import Argument, Invocation, Manifest, ManifestMethod, ParameterType
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import address_of, script_hash

HASH = script_hash("11" * 20)
ACCOUNT = script_hash("ab" * 20)


def contract(*methods: tuple[str, tuple[tuple[str, ParameterType], ...]]) -> Manifest:
    listed = (ManifestMethod(name, parameters, ParameterType.BOOLEAN, safe=False) for name, parameters in methods)
    return Manifest(HASH, "PauseRegistry", tuple(listed))


REGISTRY = contract(
    ("pauseAll", (("reason", ParameterType.STRING),)),
    ("pauseAll", ()),
    ("setPaused", (("paused", ParameterType.BOOLEAN), ("app_id", ParameterType.STRING))),
    ("isPaused", ()),
    ("isPaused", (("app_id", ParameterType.STRING),)),
    ("_deploy", ()),
)


def one_argument(kind: ParameterType, text: str) -> Argument:
    call = match_manifest(contract(("method", (("value", kind),))), "method", [text])
    (argument,) = call.invocation().arguments
    return argument


def refusal(manifest: Manifest, method: str, *texts: str) -> Refused:
    with pytest.raises(Refused) as refused:
        match_manifest(manifest, method, texts)
    return refused.value


def test_a_fitting_call_is_kept_as_written_and_becomes_typed() -> None:
    call = match_manifest(REGISTRY, "setPaused", ["true", "shop"])
    assert str(call) == "PauseRegistry.setPaused(true, shop)"
    assert call.returns is ParameterType.BOOLEAN
    assert call.invocation() == Invocation(
        HASH, "setPaused", (Argument(ParameterType.BOOLEAN, True), Argument(ParameterType.STRING, "shop"))
    )


@pytest.mark.parametrize("texts", [[], ["drained"]])
def test_methods_of_one_name_are_told_apart_by_their_number_of_arguments(texts: list[str]) -> None:
    call: CallSpec = match_manifest(REGISTRY, "pauseAll", texts)
    assert [argument.text for argument in call.arguments] == texts


def test_a_renamed_method_is_refused_with_the_nearest_ones_and_their_signatures() -> None:
    refused = refusal(REGISTRY, "pausAll", "drained")
    assert refused.code == "method-not-found"
    assert "PauseRegistry" in refused.message
    assert "no method pausAll" in refused.message
    assert refused.next_step == "the nearest are pauseAll(reason: String), pauseAll()"


def test_where_nothing_is_near_the_contracts_own_methods_are_named_but_not_its_hidden_ones() -> None:
    refused = refusal(REGISTRY, "quux")
    assert refused.next_step.startswith("it offers isPaused(), isPaused(app_id: String), pauseAll(reason: String)")
    assert "_deploy" not in refused.next_step


def test_a_contract_without_methods_makes_the_hash_suspicious() -> None:
    assert refusal(contract(), "pauseAll").next_step == "check the contract's hash"


def test_a_wrong_number_of_arguments_is_refused_with_what_the_contract_offers() -> None:
    refused = refusal(REGISTRY, "setPaused", "true")
    assert refused.code == "wrong-number-of-arguments"
    assert "does not take 1 argument(s)" in refused.message
    assert refused.next_step == "write the call as setPaused(paused: Boolean, app_id: String)"
    assert (
        refusal(REGISTRY, "pauseAll", "a", "b").next_step == "write the call as pauseAll(reason: String) or pauseAll()"
    )


def test_a_wrong_argument_is_refused_by_name_type_and_text() -> None:
    refused = refusal(REGISTRY, "setPaused", "yes", "shop")
    assert refused.code == "wrong-argument"
    assert "argument paused must be Boolean, and 'yes' is not: write true or false" in refused.message
    assert refused.data["argument"] == "paused"


P = ParameterType


@pytest.mark.parametrize(
    ("kind", "text", "argument"),
    [
        (P.BOOLEAN, "false", Argument(P.BOOLEAN, False)),
        (P.INTEGER, "-12", Argument(P.INTEGER, -12)),
        (P.INTEGER, str(2**255 - 1), Argument(P.INTEGER, 2**255 - 1)),
        (P.HASH160, "AB" * 20, Argument(P.HASH160, ACCOUNT)),
        (P.HASH160, address_of(ACCOUNT), Argument(P.HASH160, ACCOUNT)),
        (P.HASH256, "CD" * 32, Argument(P.HASH256, "0x" + "cd" * 32)),
        (P.BYTE_ARRAY, "0x00ff", Argument(P.BYTE_ARRAY, b"\x00\xff")),
        (P.PUBLIC_KEY, "02" + "00" * 32, Argument(P.BYTE_ARRAY, b"\x02" + bytes(32))),
        (P.SIGNATURE, "00" * 64, Argument(P.BYTE_ARRAY, bytes(64))),
        (P.STRING, "", Argument(P.STRING, "")),
        (P.STRING, "true", Argument(P.STRING, "true")),
        (P.ANY, "null", Argument(P.ANY, None)),
        (P.ANY, "text", Argument(P.STRING, "text")),
    ],
)
def test_each_type_takes_its_texts(kind: ParameterType, text: str, argument: Argument) -> None:
    assert one_argument(kind, text) == argument


@pytest.mark.parametrize(
    ("kind", "text", "because"),
    [
        (P.BOOLEAN, "True", "write true or false"),
        (P.BOOLEAN, "1", "write true or false"),
        (P.INTEGER, "1.5", "whole number"),
        (P.INTEGER, "1_000", "whole number"),
        (P.INTEGER, " 1", "whole number"),
        (P.INTEGER, "١٢", "whole number"),
        (P.INTEGER, "9" * 5000, "whole number"),
        (P.INTEGER, str(2**255), "256 bits"),
        (P.HASH160, "<wallet>", "neither an address"),
        (P.HASH160, address_of(ACCOUNT)[:-1] + "1", "mistyped"),
        (P.HASH256, "cd" * 20, "transaction hash"),
        (P.BYTE_ARRAY, "xyz", "hexadecimal"),
        (P.ARRAY, "[]", "can't be written in a runbook's command line"),
        (P.MAP, "{}", "can't be written in a runbook's command line"),
        (P.INTEROP, "x", "can't be written in a runbook's command line"),
    ],
)
def test_each_type_refuses_other_texts(kind: ParameterType, text: str, because: str) -> None:
    refused = refusal(contract(("method", (("value", kind),))), "method", text)
    assert refused.code == "wrong-argument"
    assert because in refused.message
    assert refused.next_step == f"write the call as method(value: {kind})"

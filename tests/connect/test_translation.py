"""Between JSON-RPC and the domain, and what many answers mean together; no node needed."""

import asyncio
import base64
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.endpoint import proxy
from tocsin.connect.neo.broadcast import Offer, Said, Word
from tocsin.connect.neo.network import Endpoint
from tocsin.connect.neo.nodes import Answer, Reply, Silence
from tocsin.connect.neo.quorum import agreed_height, agreement, supporters
from tocsin.connect.neo.rpc import RpcClient, RpcRejected, TransportFailed, result_of
from tocsin.connect.neo.script import scope_of, script_for
from tocsin.connect.neo.values import execution_of, stack_value
from tocsin.connect.neo.wire import COUNT, INVOCATION, StackItem
from tocsin.connect.ports import Argument, ArgumentValue, Invocation, ParameterType, StackValue
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash

CONTRACT = ScriptHash("0x" + "ab" * 20)


def endpoint(name: str, provider: str | None = None) -> Endpoint:
    return Endpoint(name, provider or name, f"http://{name}.example")


def answers(**said: int) -> list[Answer[int]]:
    """Answers of endpoints `provider_number`, by name."""
    return [Answer(endpoint(name, name.split("_")[0]), value) for name, value in said.items()]


def as_item(value: StackValue) -> dict[str, Any]:
    """The item as a node would write it."""
    match value:
        case None:
            return {"type": "Any"}
        case bool():
            return {"type": "Boolean", "value": value}
        case int():
            return {"type": "Integer", "value": str(value)}
        case bytes():
            return {"type": "ByteString", "value": base64.b64encode(value).decode()}
        case tuple():
            return {"type": "Array", "value": [as_item(each) for each in value]}


STACK_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**255), 2**255 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


@given(STACK_VALUES)
def test_stack_items_keep_their_values(value: StackValue) -> None:
    assert stack_value(StackItem.model_validate(as_item(value))) == value


def test_a_map_is_a_tuple_of_pairs_and_an_iterator_is_nothing() -> None:
    entry: Any = {"key": {"type": "Integer", "value": "1"}, "value": {"type": "Buffer", "value": "AQ=="}}
    assert stack_value(StackItem(type="Map", value=[entry])) == ((1, b"\x01"),)
    assert stack_value(StackItem.model_validate({"type": "InteropInterface", "id": "x"})) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Integer", "many"),
        ("Integer", None),
        ("ByteString", "§"),
        ("Array", "x"),
        ("Map", [1]),
        ("Odd", 1),
        ("Array", [{}]),
    ],
)
def test_what_is_no_stack_item_is_no_answer(kind: str, value: Any) -> None:
    with pytest.raises(TransportFailed):
        stack_value(StackItem(type=kind, value=value))


def test_a_bottomless_stack_item_is_no_answer() -> None:
    item: dict[str, Any] = {"type": "Any"}
    for _ in range(100):
        item = {"type": "Array", "value": [item]}
    with pytest.raises(TransportFailed):
        stack_value(StackItem.model_validate(item))


def test_what_nodes_and_contracts_say_steers_no_terminal() -> None:
    answer = {
        "state": "FAULT",
        "gasconsumed": "1",
        "exception": "no\x1b[2J\x9b\n\tfunds",
        "stack": [],
        "notifications": [],
    }
    assert execution_of(INVOCATION.validate_python(answer)).exception == "no\ufffd[2J\ufffd  funds"
    with pytest.raises(RpcRejected) as rejected:
        result_of({"error": {"code": -1, "message": "a\x07b", "data": "c\x00\u202ed\r"}}, "getversion")
    assert str(rejected.value) == "a\ufffdb: c\ufffd\ufffdd  (-1)"


def test_a_fault_has_no_notifications() -> None:
    note = {"contract": CONTRACT, "eventname": "Paused", "state": {"type": "Array", "value": []}}
    answer = {"state": "FAULT", "gasconsumed": "10", "exception": "no", "stack": [], "notifications": [note]}
    faulted = execution_of(INVOCATION.validate_python(answer))
    halted = execution_of(INVOCATION.validate_python(answer | {"state": "HALT", "exception": None}))
    assert (faulted.halted, faulted.notifications) == (False, ())
    assert (halted.halted, [each.name for each in halted.notifications]) == (True, ["Paused"])


@pytest.mark.parametrize(
    ("kind", "value", "pushed"),
    [
        (ParameterType.HASH160, CONTRACT, b"\x0c\x14" + b"\xab" * 20),
        (ParameterType.HASH160, "0x" + "01" + "00" * 19, b"\x0c\x14" + b"\x00" * 19 + b"\x01"),
        (ParameterType.STRING, "exploit", b"\x0c\x07exploit"),
        (ParameterType.BYTE_ARRAY, b"\x01\x02", b"\x0c\x02\x01\x02"),
        (ParameterType.BOOLEAN, True, b"\x08"),
        (ParameterType.INTEGER, 7, b"\x17"),
        (ParameterType.ANY, None, b"\x0b"),
        (
            ParameterType.ARRAY,
            (Argument(ParameterType.INTEGER, 1), Argument(ParameterType.INTEGER, 2)),
            b"\x12\x11\x12\xc0",
        ),
    ],
)
def test_arguments_are_pushed_as_their_types_say(kind: ParameterType, value: ArgumentValue, pushed: bytes) -> None:
    assert script_for([Invocation(CONTRACT, "m", (Argument(kind, value),))]).startswith(pushed)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ParameterType.HASH160, "NXV7ZhHiyM1aHXwpVsRZC6BwNFP2jghXAq"),
        (ParameterType.HASH256, CONTRACT),
        (ParameterType.BOOLEAN, 1),
        (ParameterType.INTEGER, True),
        (ParameterType.INTEGER, 2**255),
        (ParameterType.INTEGER, "5"),
        (ParameterType.BYTE_ARRAY, "0102"),
        (ParameterType.PUBLIC_KEY, "04" + "00" * 32),
        (ParameterType.VOID, 1),
    ],
)
def test_an_argument_that_does_not_fit_its_type_is_refused(kind: ParameterType, value: ArgumentValue) -> None:
    with pytest.raises(Refused) as refused:
        script_for([Invocation(CONTRACT, "setPaused", (Argument(kind, value),))])
    assert refused.value.code == "argument-invalid"
    assert "setPaused's argument 1" in refused.value.message


def test_a_witness_is_scoped_to_the_called_contracts_each_once() -> None:
    other = ScriptHash("0x" + "cd" * 20)
    signer = scope_of([Invocation(CONTRACT, "a"), Invocation(other, "b"), Invocation(CONTRACT, "c")], other)
    assert (signer.account, signer.scope, signer.contracts) == (other, "custom_contracts", (CONTRACT, other))


def test_no_scope_names_more_contracts_than_the_protocol_allows() -> None:
    with pytest.raises(Refused):
        scope_of([Invocation(ScriptHash(f"0x{n:040x}"), "m") for n in range(17)], CONTRACT)


def test_endpoints_of_one_provider_are_one_voice() -> None:
    said = answers(alder_1=5, alder_2=5, birch=6)
    assert supporters(said, lambda value: value) == {5: {"alder"}, 6: {"birch"}}
    assert agreement(said, 2, lambda value: value) is None


def test_a_provider_that_contradicts_itself_counts_for_nothing() -> None:
    assert supporters(answers(alder_1=5, alder_2=6, birch=5), lambda value: value) == {5: {"birch"}}


def test_two_agreements_are_none() -> None:
    assert agreement(answers(alder=5, birch=6), 1, lambda value: value) is None


@pytest.mark.parametrize(
    ("heights", "agreed"),
    [
        ({"alder": 10, "birch": 10, "cedar": 9}, 10),
        ({"alder": 10**9, "birch": 10, "cedar": 9}, 10),
        ({"alder": 10, "birch": 2, "cedar": 1}, 2),
        ({"alder_1": 10, "alder_2": 10, "birch": 7}, 7),
        ({"alder": 10}, 10),
        ({}, None),
    ],
)
def test_the_agreed_height_is_one_that_a_quorum_has(heights: dict[str, int], agreed: int | None) -> None:
    assert agreed_height(answers(**heights), 2) == agreed


YES, NO, HM = Said(Word.ACCEPTED), Said(Word.REFUSED), Said(Word.UNDECIDED)


@pytest.mark.parametrize(
    ("said", "accepted", "refused"),
    [
        ([YES, NO, "lost"], True, False),
        ([NO, NO, NO], False, True),
        ([NO, NO, "down"], False, True),
        ([NO, NO, "lost"], False, False),
        ([NO, HM], False, False),
        (["down", "down"], False, False),
    ],
)
def test_refused_for_good_is_only_what_nobody_can_have(said: list[Said | str], accepted: bool, refused: bool) -> None:
    """ "lost": the connection broke after sending; "down": it never came about."""
    replies: list[Reply[Said]] = [
        Silence(endpoint(f"e{n}"), each, delivered=each == "lost")
        if isinstance(each, str)
        else Answer(endpoint(f"e{n}"), each)
        for n, each in enumerate(said)
    ]
    offer = Offer(tuple(replies))
    assert (offer.accepted, offer.refused_for_good) == (accepted, refused)


class TestTransport:
    """Against a server on loopback that need not be a node."""

    @staticmethod
    def client(http: httpx2.AsyncClient, url: str) -> RpcClient:
        return RpcClient(http, url, request_s=0.3, body_bytes_max=4096)

    async def test_a_refused_connection_was_delivered_to_nobody(self) -> None:
        async with httpx2.AsyncClient() as http:
            with pytest.raises(TransportFailed) as failed:
                await self.client(http, "http://127.0.0.1:9").call(COUNT, "getblockcount")
        assert not failed.value.delivered

    async def test_silence_may_have_been_delivered(self) -> None:
        async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(ignore, "127.0.0.1", 0)
        async with server, httpx2.AsyncClient() as http:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(TransportFailed) as failed:
                await self.client(http, url).call(COUNT, "getblockcount")
        assert failed.value.delivered

    @pytest.mark.parametrize("result", [None, "12", -1.5, {"a": 1}, "x" * 10_000])
    async def test_an_answer_of_another_shape_or_size_is_none(self, result: Any) -> None:
        def lie(request: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
            return {"jsonrpc": "2.0", "id": request["id"], "result": result}

        withheld = frozenset({"getversion"})
        async with proxy("", lie, withheld=withheld) as server, httpx2.AsyncClient() as http:
            with pytest.raises(TransportFailed):
                await self.client(http, server.url).call(INVOCATION, "getversion")

    async def test_a_batch_keeps_its_order_beyond_a_hundred_calls(self) -> None:
        def echo(request: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
            return {"jsonrpc": "2.0", "id": request["id"], "result": request["params"][0]}

        withheld = frozenset({"echo"})
        async with proxy("", echo, withheld=withheld) as server, httpx2.AsyncClient() as http:
            results = await RpcClient(http, server.url, request_s=5, body_bytes_max=10**6).batch(
                [("echo", (number,)) for number in range(250)]
            )
        assert results == list(range(250))

"""One form of bytes for equal values: what signatures, chains and hashes stand on."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.domain.canonical import Json, canonical_bytes, digest

characters = st.characters(exclude_categories=["Cs"])
leaves = st.none() | st.booleans() | st.integers() | st.text(characters, max_size=8)
values: st.SearchStrategy[Json] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(characters, max_size=4), inner, max_size=4),
    max_leaves=12,
)


def reordered(value: Json) -> Json:
    """The same value, with the keys the other way round and lists as tuples."""
    if isinstance(value, Mapping):
        return {key: reordered(item) for key, item in reversed(list(value.items()))}
    if isinstance(value, list):
        return tuple(reordered(item) for item in cast(list[Json], value))
    return value


@given(values)
@settings(deadline=None)
def test_equal_values_give_the_same_bytes_and_come_back(value: Json) -> None:
    assert canonical_bytes(reordered(value)) == canonical_bytes(value)
    assert json.loads(canonical_bytes(value)) == value


@given(values, values)
@settings(deadline=None)
def test_different_values_give_different_bytes(one: Json, other: Json) -> None:
    # Python says that True is 1; JSON does not.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical_bytes(one) == canonical_bytes(other)) == same


def test_the_form_is_sorted_dense_and_utf_8() -> None:
    value = {"b": [1, None, True], "a": {"ü": "€", "c": ""}}
    assert canonical_bytes(value) == '{"a":{"c":"","ü":"€"},"b":[1,null,true]}'.encode()
    assert digest(value) == hashlib.sha256(canonical_bytes(value)).hexdigest()


def test_any_mapping_sequence_and_text_of_python_is_written_as_json_has_it() -> None:
    class Word(StrEnum):
        ASK = "ask"

    assert canonical_bytes(MappingProxyType({"word": Word.ASK, "list": (1, 2)})) == b'{"list":[1,2],"word":"ask"}'


@pytest.mark.parametrize("value", [0.5, float("nan"), [1, 2.0], {"a": {"b": (1.0,)}}])
def test_floating_point_numbers_are_refused_at_any_depth(value: Json) -> None:
    with pytest.raises(TypeError, match="floating-point"):
        canonical_bytes(value)


@pytest.mark.parametrize("value", [b"raw", {"a": bytearray()}, {1, 2}, [object()]])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="JSON can't hold"):
        canonical_bytes(cast(Json, value))


def test_a_key_that_is_no_text_is_refused_rather_than_turned_into_one() -> None:
    with pytest.raises(TypeError, match="a key must be a text"):
        canonical_bytes(cast(Json, {1: "one", "1": "one"}))


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical_bytes("\ud800")

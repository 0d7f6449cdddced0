"""Placeholders are found, told from redirections, and replaced once."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.runbook.placeholders import bind_placeholders, placeholders


def test_names_come_once_and_in_order() -> None:
    assert placeholders("-w <wallet> -r <rpc> <hub> <wallet>") == ("wallet", "rpc", "hub")


def test_a_name_may_hold_spaces_dots_and_hyphens() -> None:
    assert placeholders("<backup url> <app.id> <tee-service>") == ("backup url", "app.id", "tee-service")


def test_a_redirection_is_no_placeholder() -> None:
    assert placeholders("psql < backup.sql > out.txt") == ()
    assert placeholders("1 < 2 && 3 > 2") == ()


def test_binding_reaches_into_lists_and_objects() -> None:
    call = {"url": "https://<rpc>/", "params": ["<app>", True, None, 7], "deep": {"x": [["<app>"]]}}
    bound, missing = bind_placeholders(call, {"rpc": "node.example", "app": "shop"})
    assert bound == {"url": "https://node.example/", "params": ["shop", True, None, 7], "deep": {"x": [["shop"]]}}
    assert missing == ()


def test_what_is_missing_is_named_once_and_stays() -> None:
    assert bind_placeholders(["<a> <b>", "<b><c>"], {"c": "3"}) == (["<a> <b>", "<b>3"], ("a", "b"))


def test_a_value_is_not_searched_for_placeholders_again() -> None:
    assert bind_placeholders("<a>", {"a": "<b>", "b": "no"}) == ("<b>", ())


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(st.lists(names, max_size=5), st.dictionaries(names, st.text("xyz", max_size=5)))
def test_bound_or_missing_and_never_both(wanted: list[str], variables: dict[str, str]) -> None:
    text = " ".join(f"<{name}>" for name in wanted)
    bound, missing = bind_placeholders(text, variables)
    assert set(missing) == set(wanted) - set(variables)
    assert bound == " ".join(variables.get(name, f"<{name}>") for name in wanted)

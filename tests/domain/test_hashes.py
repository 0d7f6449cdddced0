"""Hashes and addresses, held against neo-mamba's."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from neo3.core.types import UInt160
from neo3.wallet import utils as wallet

from tocsin.domain.hashes import account_of, address_of, script_hash, tx_hash

accounts = st.binary(min_size=20, max_size=20).map(lambda raw: script_hash(raw.hex()))


@given(accounts)
@settings(deadline=None)
def test_an_address_is_the_one_that_wallets_show(account: str) -> None:
    address = address_of(script_hash(account))
    assert address == wallet.script_hash_to_address(UInt160.from_string(account))
    assert account_of(address) == account


@given(accounts, st.data())
@settings(deadline=None)
def test_a_mistyped_address_names_nobody(account: str, data: st.DataObject) -> None:
    address = address_of(script_hash(account))
    place = data.draw(st.integers(1, len(address) - 1))
    other = data.draw(st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"))
    assume(other != address[place])
    with pytest.raises(ValueError, match="was a character mistyped"):
        account_of(address[:place] + other + address[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "N",
        "NZzKxjPDZVcy3hpBUu7ihBL4N5vKcXW9E",  # a character short
        "AK2nJJpJr6o664CWJKi1QRXjqeic2zRp8y",  # of the Neo before N3
        "NZzKxjPDZVcy3hpBUu7ihBL4N5vKcXW9O0",  # letters that Base58 does not have
        "0x12",
    ],
)
def test_what_is_neither_address_nor_hash_names_nobody(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither an address of Neo N3 .* nor a script hash"):
        account_of(text)


def test_hashes_are_normalised() -> None:
    digits = "D2A4CFF31913016155E38E474A2C06D08BE276CF"
    assert script_hash(f" {digits} ") == script_hash(f"0x{digits}") == account_of(digits) == f"0x{digits.lower()}"
    assert tx_hash("AB" * 32) == "0x" + "ab" * 32


@pytest.mark.parametrize("text", ["", "0x", "0x" + "0" * 39, "0x" + "0" * 41, "0x" + "g" * 40, "0X" + "0" * 40])
def test_a_script_hash_has_forty_hexadecimal_digits(text: str) -> None:
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        script_hash(text)


def test_a_transaction_hash_has_sixty_four_hexadecimal_digits() -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        tx_hash("0x" + "0" * 40)

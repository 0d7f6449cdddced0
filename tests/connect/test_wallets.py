"""Keys: each for its purpose, opened with its password, and shown to nobody."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from miniapp_platform.accounts import Accounts
from tocsin.connect.neo import mamba
from tocsin.connect.neo.network import KeySource
from tocsin.connect.neo.signing import sign_message, verify_message
from tocsin.connect.neo.wallets import KeyRing, open_key
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.principals import approval_message

ACCOUNTS = Accounts.derive(b"wallet tests")


@pytest.fixture
def source(tmp_path: Path) -> KeySource:
    """The operator's wallet, for pausing."""
    ACCOUNTS.write_wallets(tmp_path / "wallets")
    return KeySource("pause", tmp_path / "wallets" / "operator.json", password_file=tmp_path / "wallets" / "password")


async def test_a_purpose_gets_its_key(source: KeySource) -> None:
    key = await KeyRing([source]).key("pause")
    assert (key.purpose, key.account) == ("pause", ACCOUNTS.operator.hash)
    assert key.public_key.hex() == ACCOUNTS.operator.public_key_hex


async def test_a_purpose_without_a_key_does_not_get_that_of_another(source: KeySource) -> None:
    with pytest.raises(Refused) as refused:
        await KeyRing([source]).key("refill")
    assert refused.value.code == "key-missing"


async def test_a_wallet_is_opened_once(source: KeySource) -> None:
    ring = KeyRing([source])
    first = await ring.key("pause")
    source.wallet.unlink()
    assert await ring.key("pause") is first


def test_two_purposes_with_one_account_are_no_configuration(source: KeySource) -> None:
    with pytest.raises(ConfigurationInvalid, match="'pause' and 'refill' have the same account") as invalid:
        KeyRing([source, replace(source, purpose="refill")])
    assert invalid.value.code == "account-shared"


async def test_two_purposes_share_an_account_where_that_is_said(source: KeySource) -> None:
    ring = KeyRing([source, replace(source, purpose="refill", shares_with=("pause",))])
    assert (await ring.key("pause")).account == (await ring.key("refill")).account


def test_saying_that_it_is_shared_with_one_does_not_share_it_with_all(source: KeySource) -> None:
    refill = replace(source, purpose="refill", shares_with=("pause",))
    with pytest.raises(ConfigurationInvalid, match="account"):
        KeyRing([source, refill, replace(source, purpose="admin")])


async def test_a_shared_account_is_found_also_where_the_wallet_was_not_there_before(
    source: KeySource, tmp_path: Path
) -> None:
    later = replace(source, purpose="refill", wallet=tmp_path / "later.json")
    ring = KeyRing([source, later])
    await ring.key("pause")
    later.wallet.write_bytes(source.wallet.read_bytes())
    with pytest.raises(Refused) as refused:
        await ring.key("refill")
    assert refused.value.code == "account-shared"


def test_a_key_shows_no_secret(source: KeySource) -> None:
    assert ACCOUNTS.operator.private_key.hex() not in repr(open_key(source))
    assert repr(ACCOUNTS.operator.private_key) not in repr(open_key(source))


def test_a_wrong_password_is_refused_and_not_repeated(source: KeySource, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("correct horse battery\n", encoding="utf-8")
    with pytest.raises(Refused) as refused:
        open_key(replace(source, password_file=wrong))
    assert refused.value.code == "wallet-locked"
    assert "correct horse" not in str(refused.value.as_json())
    assert refused.value.__cause__ is None


def test_the_password_may_come_from_the_environment(source: KeySource, monkeypatch: pytest.MonkeyPatch) -> None:
    from_environment = replace(source, password_file=None, password_env="TOCSIN_TEST_PASSWORD")
    monkeypatch.delenv("TOCSIN_TEST_PASSWORD", raising=False)
    with pytest.raises(Refused) as refused:
        open_key(from_environment)
    assert refused.value.code == "password-missing"
    assert "TOCSIN_TEST_PASSWORD" in refused.value.next_step
    monkeypatch.setenv("TOCSIN_TEST_PASSWORD", ACCOUNTS.wallet_password)
    assert open_key(from_environment).account == ACCOUNTS.operator.hash


def test_a_key_needs_its_password_from_one_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid):
        KeySource("pause", tmp_path / "wallet.json")


def _missing(source: KeySource) -> KeySource:
    return replace(source, wallet=source.wallet.with_name("missing.json"))


def _foreign(source: KeySource) -> KeySource:
    source.wallet.write_text('{"accounts": "none"}', encoding="utf-8")
    return source


def _greedy(source: KeySource) -> KeySource:
    text = source.wallet.read_text(encoding="utf-8")
    source.wallet.write_text(text.replace('"n": 2,', '"n": 16777216,').replace('"r": 1,', '"r": 64,'), encoding="utf-8")
    return source


def _other_account(source: KeySource) -> KeySource:
    return replace(source, address=ACCOUNTS.refill.address)


def _shared_account(source: KeySource) -> KeySource:
    guardian = ACCOUNTS.guardians[0].name
    return replace(source, wallet=source.wallet.with_name(f"{guardian}.json"), address=ACCOUNTS.admin.address)


@pytest.mark.parametrize("spoil", [_missing, _foreign, _greedy, _other_account, _shared_account])
def test_a_wallet_that_can_not_serve_is_refused(source: KeySource, spoil: Callable[[KeySource], KeySource]) -> None:
    with pytest.raises(Refused) as refused:
        open_key(spoil(source))
    assert refused.value.code == "wallet-unusable"


def test_an_account_is_picked_by_its_address(source: KeySource) -> None:
    assert open_key(replace(source, address=ACCOUNTS.operator.address)).account == ACCOUNTS.operator.hash


def test_addresses_and_hashes_translate_both_ways() -> None:
    for account in ACCOUNTS:
        assert mamba.account_of(account.address) == account.hash
        assert mamba.address_of(mamba.account_of(account.address)) == account.address


def test_a_signature_holds_for_its_message_and_key_only(source: KeySource) -> None:
    key = open_key(source)
    message = approval_message("ab" * 32, datetime(2025, 3, 1, 3, tzinfo=UTC))
    signature = sign_message(key, message)
    assert verify_message(ACCOUNTS.operator.public_key_hex, message, signature)
    assert not verify_message(ACCOUNTS.operator.public_key_hex, message + b" ", signature)
    assert not verify_message(ACCOUNTS.refill.public_key_hex, message, signature)


@pytest.mark.parametrize(
    ("public_key", "signature"),
    [("", ""), ("zz" * 33, "00" * 64), ("02" + "ff" * 32, "00" * 64), ("00" * 33, "00" * 64), ("03" * 33, "0" * 127)],
)
def test_what_is_malformed_verifies_nothing(public_key: str, signature: str) -> None:
    assert not verify_message(public_key, b"message", signature)

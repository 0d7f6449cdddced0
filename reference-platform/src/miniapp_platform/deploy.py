"""Brings the platform's contracts onto a fresh chain, wires them and gives every account its GAS.

All of it is one transaction, paid by the committee and signed by the admin too. A contract's hash follows from who
deploys it and what it is, so the wiring can be written down before anything exists; and the platform is either there or
it is not. The contracts themselves are compiled elsewhere and committed beside this module, in `artifacts`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from neo3.contracts.nef import NEF
from neo3.contracts.utils import get_contract_hash
from neo3.core.types import UInt160

from miniapp_platform.accounts import Accounts, KeyAccount
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.errors import StartFailed
from miniapp_platform.script import CONTRACT_MANAGEMENT, FRACTIONS_PER_GAS, Argument, Call, transfer_gas

ARTIFACTS = Path(__file__).parent / "artifacts"
MINI_APP_ID = "corner-shop"
VULNERABLE_APP_ID = "prize-pot"

GAS_OF_ADMIN = 1_000
GAS_OF_OPERATOR = 100
GAS_OF_REFILL = 10_000
GAS_OF_PAYER = 10_000
GAS_OF_OTHERS = 100
GAS_BANK_GAS = 1_000
POT_GAS = 1_000
"""What lies in the vulnerable app, for the attacker to take: a tenth a block."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract."""

    nef: bytes
    manifest: str
    contract_name: str

    @classmethod
    def load(cls, name: str) -> "Artifact":
        """Read `<name>.nef` and `<name>.manifest.json`. Raises StartFailed when they are missing."""
        try:
            nef = (ARTIFACTS / f"{name}.nef").read_bytes()
            manifest = cast("dict[str, object]", json.loads((ARTIFACTS / f"{name}.manifest.json").read_bytes()))
        except FileNotFoundError as error:
            message = f"the compiled contract {name} is missing: {error.filename}"
            raise StartFailed(message) from error
        # Compact, because every byte of it is paid for and stored.
        return cls(nef, json.dumps(manifest, separators=(",", ":")), str(manifest["name"]))

    def hash_when_deployed_by(self, sender: UInt160) -> UInt160:
        nef = NEF.deserialize_from_bytes(self.nef)
        return get_contract_hash(sender, nef.checksum, self.contract_name)


@dataclass(frozen=True, slots=True)
class Contracts:
    """Where the contracts are: script hashes as '0x…'."""

    pause_registry: str
    payment_hub: str
    gas_bank: str
    mini_app: str
    vulnerable_app: str


async def deploy(chain: Chain, accounts: Accounts) -> Contracts:
    """Put everything onto a fresh chain and wait until it is there: one transaction, so one block.

    Raises RehearsalFaulted or TransactionFaulted when a contract refuses, NotIncluded when no block comes.
    """
    deployer = accounts.committee.script_hash
    artifacts = {name: Artifact.load(name) for name in Contracts.__dataclass_fields__}
    hashes = {name: artifact.hash_when_deployed_by(deployer) for name, artifact in artifacts.items()}
    registry, hub = hashes["pause_registry"], hashes["payment_hub"]
    admin, owner = accounts.admin.script_hash, accounts.app_owner.script_hash
    settings: dict[str, Argument] = {
        "pause_registry": [admin, [accounts.operator.script_hash]],
        "payment_hub": [admin, registry],
        "gas_bank": [admin, registry],
        "mini_app": [MINI_APP_ID, hub, registry, owner],
        "vulnerable_app": [VULNERABLE_APP_ID, registry],
    }
    calls = [
        Call(CONTRACT_MANAGEMENT, "deploy", (artifact.nef, artifact.manifest, settings[name]))
        for name, artifact in artifacts.items()
    ]
    calls.append(Call(hub, "registerApp", (MINI_APP_ID, owner), must_be_true=True))
    calls += [
        transfer_gas(deployer, receiver, gas * FRACTIONS_PER_GAS)
        for receiver, gas in (
            *_allowances(accounts),
            (hashes["gas_bank"], GAS_BANK_GAS),
            (hashes["vulnerable_app"], POT_GAS),
        )
    ]
    await chain.execute(calls, [Authority(accounts.committee), Authority(accounts.admin)])
    return Contracts(**{name: f"0x{value}" for name, value in hashes.items()})


@cache
def artifacts_digest() -> str:
    """Names the set of compiled contracts: a prepared chain made with others is not this platform."""
    digest = hashlib.sha256()
    for name in Contracts.__dataclass_fields__:
        artifact = Artifact.load(name)
        digest.update(hashlib.sha256(artifact.nef).digest() + hashlib.sha256(artifact.manifest.encode()).digest())
    return digest.hexdigest()


def _allowances(accounts: Accounts) -> Iterator[tuple[UInt160, int]]:
    """Who starts with how many GAS."""
    yield accounts.admin.script_hash, GAS_OF_ADMIN
    own: dict[KeyAccount, int] = dict.fromkeys(accounts, GAS_OF_OTHERS)
    own |= dict.fromkeys(accounts.payers, GAS_OF_PAYER)
    own |= {accounts.operator: GAS_OF_OPERATOR, accounts.refill: GAS_OF_REFILL}
    for account, gas in own.items():
        yield account.script_hash, gas

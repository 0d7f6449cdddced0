"""The five contracts deployed for their tests, with the people who use them."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from neo3 import vm
from neo3.contracts.contract import CONTRACT_HASHES
from neo3.contracts.nef import NEF
from neo3.contracts.utils import get_contract_hash
from neo3.core import types

from chain_fixture import Argument, Chain, Party, call, multisig, party, pay, running_chain

ARTIFACTS = Path(__file__).parent.parent / "src" / "miniapp_platform" / "artifacts"
MANAGEMENT = CONTRACT_HASHES.MANAGEMENT
ONE_GAS = 100_000_000
SHOP = "shop"
GAME = "game"


@dataclass(frozen=True)
class People:
    """Who there is. Everybody holds GAS."""

    admin: Party = multisig("admin", 2, of=3)
    operator: Party = party("operator")
    other_operator: Party = party("other operator")
    owner: Party = party("owner")
    payer: Party = party("payer")
    spender: Party = party("spender")
    platform: Party = party("platform")
    attacker: Party = party("attacker")
    stranger: Party = party("stranger")


PEOPLE = People()


@dataclass(frozen=True)
class World:
    """A chain with the contracts on it."""

    chain: Chain
    registry: types.UInt160
    hub: types.UInt160
    bank: types.UInt160
    app: types.UInt160
    game: types.UInt160
    """The vulnerable app."""


@contextmanager
def deployed_world() -> Generator[World]:
    """A fresh chain with the contracts just deployed: one app at the hub, one spender at the bank, and no money."""
    with running_chain() as chain:
        deployer = chain.genesis
        registry, hub, bank, app, game = (
            contract_hash(name, deployer)
            for name in ("pause_registry", "payment_hub", "gas_bank", "mini_app", "vulnerable_app")
        )
        people = PEOPLE
        operators = [people.operator.hash, people.other_operator.hash]
        script = (
            deploy("pause_registry", [people.admin.hash, operators])
            + deploy("payment_hub", [people.admin.hash, registry])
            + deploy("gas_bank", [people.admin.hash, registry, people.platform.hash])
            + deploy("mini_app", [SHOP, hub, registry, people.owner.hash])
            + deploy("vulnerable_app", [GAME, registry])
        )
        for one in vars(people).values():
            script += pay(deployer, cast(Party, one).hash, 1_000 * ONE_GAS)
        chain.send(script, deployer).values()
        settings = call(hub, "registerApp", SHOP, people.owner.hash) + call(
            bank, "authorise", people.spender.hash, True
        )
        assert chain.send(settings, people.admin).values() == (True, True)
        yield World(chain, registry, hub, bank, app, game)


def nef(name: str) -> bytes:
    """The compiled contract, as committed."""
    return (ARTIFACTS / f"{name}.nef").read_bytes()


def manifest(name: str) -> bytes:
    """The contract's manifest as it goes on the chain, without the white space."""
    return json.dumps(
        json.loads((ARTIFACTS / f"{name}.manifest.json").read_text("utf-8")), separators=(",", ":")
    ).encode()


def contract_hash(name: str, deployer: Party) -> types.UInt160:
    """The hash that the contract gets when this party deploys it."""
    checksum = NEF.deserialize_from_bytes(nef(name)).checksum
    return get_contract_hash(deployer.hash, checksum, cast(str, json.loads(manifest(name))["name"]))


def deploy(name: str, data: Argument) -> bytes:
    """The script that deploys a contract and drops the description of it that comes back."""
    return call(MANAGEMENT, "deploy", nef(name), manifest(name), data) + bytes([vm.OpCode.DROP])

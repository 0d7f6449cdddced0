"""MiniApp: a small honest app of the platform. It sells something for GAS and lets the PaymentHub take the money.

It holds no GAS itself. An order asks the PauseRegistry first, needs the payer's witness (in this contract and in the
GAS contract, so a scope of CustomContracts over the two) and returns the id of the hub's receipt.

Deployment data: [app id, hub, registry, owner].
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import ContractManagement, GasToken
from boa3.sc.runtime import check_witness
from boa3.sc.storage import get_str, get_uint160, put_str, put_uint160
from boa3.sc.types import CallFlags, UInt160
from boa3.sc.utils import CreateNewEvent, call_contract

from identity import is_account, is_app_id
from registry_client import app_paused

APP_ID = b"\x01"
HUB = b"\x02"
REGISTRY = b"\x03"
OWNER = b"\x04"

on_order_placed = CreateNewEvent([("receipt_id", int), ("payer", UInt160), ("amount", int)], "OrderPlaced")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "MiniApp"
    meta.author = "Tocsin reference platform"
    meta.description = "An app that takes payments through the PaymentHub"
    meta.add_permission(contract="0xd2a4cff31913016155e38e474a2c06d08be276cf", methods=["transfer"])
    meta.add_permission(contract="0xfffdc93764dbaddd97c48f252a53ea4643faa3fd", methods=["update"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    id = cast(str, settings[0])
    payment_hub = cast(UInt160, settings[1])
    pause_registry = cast(UInt160, settings[2])
    first_owner = cast(UInt160, settings[3])
    assert is_app_id(id), "invalid app id"
    assert is_account(payment_hub) and is_account(pause_registry) and is_account(first_owner), "invalid account"
    put_str(APP_ID, id)
    put_uint160(HUB, payment_hub)
    put_uint160(REGISTRY, pause_registry)
    put_uint160(OWNER, first_owner)


@public(name="appId", safe=True)
def app_id() -> str:
    return get_str(APP_ID)


@public(safe=True)
def hub() -> UInt160:
    """The PaymentHub that takes this app's payments."""
    return get_uint160(HUB)


@public(safe=True)
def registry() -> UInt160:
    """The PauseRegistry that this app obeys."""
    return get_uint160(REGISTRY)


@public(safe=True)
def owner() -> UInt160:
    return get_uint160(OWNER)


@public(name="isPaused", safe=True)
def is_paused() -> bool:
    return app_paused(registry(), app_id())


@public
def order(payer: UInt160, amount: int, memo: str) -> int:
    """Pay `amount` GAS fractions for an order and return the id of the receipt."""
    assert not is_paused(), "paused by registry"
    assert check_witness(payer), "not authorised"
    assert amount > 0, "invalid amount"
    assert GasToken.transfer(payer, hub(), amount, [app_id(), memo]), "payment failed"
    # The hub counts its receipts one by one within this transaction, so the newest is ours.
    receipt_id = cast(int, call_contract(hub(), "receiptCount", [], CallFlags.READ_ONLY))
    on_order_placed(receipt_id, payer, amount)
    return receipt_id


@public
def update(nef: bytes, manifest: bytes, data: Any):
    """Replace the contract's code; its storage stays. The owner only."""
    assert check_witness(owner()), "not authorised"
    ContractManagement.update(nef, manifest, data)

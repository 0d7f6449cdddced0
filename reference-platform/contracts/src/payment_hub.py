"""PaymentHub: takes GAS for the platform's apps, writes a receipt for each payment and pays the apps' owners.

Money enters through onNEP17Payment with the app id (or [app id, memo]) as data, and leaves through withdraw. Both ask
the PauseRegistry first, and both stand still while the hub itself is paused. Operators of the registry may pause the
hub; only the admin may lift that pause. The sum of the apps' balances never exceeds the GAS that the hub holds.

A snapshot holds what can be set back: the receipt counter and each app's owner and balance, at most 64 apps. Receipts
are never changed once written, so they are not in it. It names no time or height: nodes that agree on the state agree
on every byte. The digest at its end tells a damaged backup; the right to restore rests on the admin's witness alone.

Deployment data: [admin, registry].
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import ContractManagement, CryptoLib, GasToken, StdLib
from boa3.sc.runtime import calling_script_hash, check_witness, executing_script_hash, time
from boa3.sc.storage import (
    delete,
    get,
    get_bool,
    get_int,
    get_list,
    get_uint160,
    put,
    put_bool,
    put_int,
    put_list,
    put_uint160,
)
from boa3.sc.types import UInt160
from boa3.sc.utils import CreateNewEvent, to_bytes

from identity import first_witness, is_account, is_app_id
from registry_client import all_paused, app_paused, pausers

ADMIN = b"\x01"
REGISTRY = b"\x02"
PAUSE = b"\x03"
APPS = b"\x04"
OWNER = b"\x05"
BALANCE = b"\x06"
TOTAL = b"\x07"
RECEIPT_COUNT = b"\x08"
RECEIPT = b"\x09"

APPS_MAX = 64
MEMO_BYTES_MAX = 128
SNAPSHOT_VERSION = 1
DIGEST_BYTES = 32

on_payment_received = CreateNewEvent(
    [("id", int), ("app_id", str), ("payer", UInt160), ("amount", int), ("memo", str)], "PaymentReceived"
)
on_withdrawn = CreateNewEvent([("app_id", str), ("owner", UInt160), ("amount", int)], "Withdrawn")
on_hub_pause_changed = CreateNewEvent([("paused", bool), ("by", UInt160)], "HubPauseChanged")
on_state_restored = CreateNewEvent([("digest", bytes), ("apps", int), ("total", int)], "StateRestored")
on_app_registered = CreateNewEvent([("app_id", str), ("owner", UInt160)], "AppRegistered")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "PaymentHub"
    meta.author = "Tocsin reference platform"
    meta.description = "Takes payments for the platform's apps and keeps a receipt of each"
    meta.add_permission(contract="0xd2a4cff31913016155e38e474a2c06d08be276cf", methods=["transfer"])
    meta.add_permission(contract="0xfffdc93764dbaddd97c48f252a53ea4643faa3fd", methods=["update"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    first_admin = cast(UInt160, settings[0])
    registry = cast(UInt160, settings[1])
    assert is_account(first_admin), "invalid account"
    assert is_account(registry), "invalid registry"
    put_uint160(ADMIN, first_admin)
    put_uint160(REGISTRY, registry)
    put_list(APPS, [])


@public(safe=True)
def admin() -> UInt160:
    return get_uint160(ADMIN)


@public(safe=True)
def registry() -> UInt160:
    """The PauseRegistry that this hub obeys."""
    return get_uint160(REGISTRY)


@public(safe=True)
def apps() -> list[str]:
    """The ids of the registered apps, in the order of their registration; at most 64."""
    return cast(list[str], get_list(APPS))


@public(name="ownerOf", safe=True)
def owner_of(app_id: str) -> UInt160:
    """Who is paid when this app's balance is withdrawn. Faults for an unknown app."""
    owner = get(OWNER + to_bytes(app_id))
    assert len(owner) > 0, "unknown app"
    return cast(UInt160, owner)


@public(name="balanceOf", safe=True)
def balance_of(app_id: str) -> int:
    """GAS fractions held for this app; 0 for an unknown one."""
    return get_int(BALANCE + to_bytes(app_id))


@public(name="totalBalance", safe=True)
def total_balance() -> int:
    """GAS fractions held for all apps together."""
    return get_int(TOTAL)


@public(name="receiptCount", safe=True)
def receipt_count() -> int:
    """How many receipts were written, which is also the id of the newest."""
    return get_int(RECEIPT_COUNT)


@public(name="getReceipt", safe=True)
def get_receipt(id: int) -> Any:
    """[id, app id, payer, amount in GAS fractions, block time in ms, memo], or null for an id that was never given."""
    if id < 1 or id > receipt_count():
        return None
    return StdLib.deserialize(get(RECEIPT + to_bytes(id)))


@public(name="isPaused", safe=True)
def is_paused() -> bool:
    """Whether the hub takes and pays nothing: because it is paused itself, or because everything is."""
    return get_bool(PAUSE) or all_paused(registry())


@public(name="registerApp")
def register_app(app_id: str, owner: UInt160) -> bool:
    """Let an app take payments; withdrawals go to `owner`, who can't be changed later. The admin only."""
    require_admin()
    assert is_app_id(app_id), "invalid app id"
    assert is_account(owner), "invalid account"
    known = get(OWNER + to_bytes(app_id))
    if len(known) > 0:
        assert cast(UInt160, known) == owner, "app already registered"
        return True
    add_app(app_id, owner)
    return True


@public(name="onNEP17Payment")
def on_nep17_payment(payer: UInt160 | None, amount: int, data: Any):
    """Book a GAS payment. `data` is the app id or [app id, memo]; a memo has at most 128 bytes."""
    assert calling_script_hash == GasToken.hash, "only GAS"
    assert payer is not None and amount > 0, "not a payment"
    app_id = ""
    memo = ""
    if isinstance(data, list):
        parts = cast(list[Any], data)
        assert len(parts) == 2, "data must be app id or [app id, memo]"
        app_id = cast(str, parts[0])
        memo = cast(str, parts[1])
    else:
        assert data is not None, "unknown app"
        app_id = cast(str, data)
    assert is_app_id(app_id), "unknown app"
    assert len(to_bytes(memo)) <= MEMO_BYTES_MAX, "memo too long"
    owner_of(app_id)
    require_not_paused(app_id)

    id = get_int(RECEIPT_COUNT) + 1
    put_int(RECEIPT_COUNT, id)
    put(RECEIPT + to_bytes(id), StdLib.serialize([id, app_id, payer, amount, time, memo]))
    put_int(BALANCE + to_bytes(app_id), balance_of(app_id) + amount)
    put_int(TOTAL, total_balance() + amount)
    on_payment_received(id, app_id, cast(UInt160, payer), amount, memo)


@public
def withdraw(app_id: str, amount: int) -> bool:
    """Pay `amount` GAS fractions of the app's balance to its owner, who must witness the call."""
    owner = owner_of(app_id)
    assert check_witness(owner), "not authorised"
    require_not_paused(app_id)
    balance = balance_of(app_id)
    assert amount > 0 and amount <= balance, "insufficient balance"
    # The books are closed before money leaves: the owner may be a contract that calls back.
    put_int(BALANCE + to_bytes(app_id), balance - amount)
    put_int(TOTAL, total_balance() - amount)
    assert GasToken.transfer(executing_script_hash, owner, amount, None), "transfer failed"
    on_withdrawn(app_id, owner, amount)
    return True


@public(name="setPaused")
def set_paused(paused: bool) -> bool:
    """Pause the hub (operators of the registry, and the admin) or lift its own pause (the admin only)."""
    by = require_right_to_set(paused)
    standing = get_bool(PAUSE)
    if paused and not standing:
        put_bool(PAUSE, True)
        on_hub_pause_changed(True, by)
    if standing and not paused:
        delete(PAUSE)
        on_hub_pause_changed(False, by)
    return True


@public(name="snapshotState", safe=True)
def snapshot_state() -> bytes:
    """The state as bytes: StdLib's serialisation, then its SHA-256.

    Serialised is [version, this hub, receipt counter, [[app id, owner, balance], ...]].
    """
    rows: list[Any] = []
    for app_id in apps():
        rows.append([app_id, owner_of(app_id), balance_of(app_id)])
    state = StdLib.serialize([SNAPSHOT_VERSION, executing_script_hash, receipt_count(), rows])
    return state + CryptoLib.sha256(state)


@public(name="restoreState")
def restore_state(backup_data: bytes) -> bool:
    """Set the state back to a snapshot of this hub. The admin only, and only while the hub stands still.

    The receipt counter never goes back, so that no receipt is written over. Apps that are younger than the snapshot
    keep what they have.
    """
    require_admin()
    assert is_paused(), "restore needs the pause"
    size = len(backup_data) - DIGEST_BYTES
    assert size > 0, "invalid snapshot"
    state = backup_data[:size]
    digest = backup_data[size:]
    assert CryptoLib.sha256(state) == digest, "digest mismatch"
    fields = cast(list[Any], StdLib.deserialize(state))
    assert cast(int, fields[0]) == SNAPSHOT_VERSION, "unknown snapshot version"
    assert cast(UInt160, fields[1]) == executing_script_hash, "snapshot of another hub"
    counter = cast(int, fields[2])
    if counter > receipt_count():
        put_int(RECEIPT_COUNT, counter)
    rows = cast(list[Any], fields[3])
    for row in rows:
        restore_app(cast(list[Any], row))

    total = 0
    for app_id in apps():
        total += balance_of(app_id)
    assert total <= GasToken.balanceOf(executing_script_hash), "insolvent"
    put_int(TOTAL, total)
    on_state_restored(digest, len(rows), total)
    return True


@public
def update(nef: bytes, manifest: bytes, data: Any):
    """Replace the contract's code; its storage stays. The admin only."""
    require_admin()
    ContractManagement.update(nef, manifest, data)


def restore_app(row: list[Any]):
    app_id = cast(str, row[0])
    owner = cast(UInt160, row[1])
    balance = cast(int, row[2])
    assert is_app_id(app_id) and is_account(owner) and balance >= 0, "invalid snapshot"
    if len(get(OWNER + to_bytes(app_id))) == 0:
        add_app(app_id, owner)
    put_uint160(OWNER + to_bytes(app_id), owner)
    put_int(BALANCE + to_bytes(app_id), balance)


def add_app(app_id: str, owner: UInt160):
    known = apps()
    assert len(known) < APPS_MAX, "too many apps"
    known.append(app_id)
    put_list(APPS, known)
    put_uint160(OWNER + to_bytes(app_id), owner)
    on_app_registered(app_id, owner)


def require_not_paused(app_id: str):
    assert not get_bool(PAUSE), "hub paused"
    assert not app_paused(registry(), app_id), "paused by registry"


def require_right_to_set(paused: bool) -> UInt160:
    if paused:
        return require_pauser()
    return require_admin()


def require_pauser() -> UInt160:
    """The first of the registry's operators, or else the admin, who witnessed this call; faults when nobody did."""
    operator = first_witness(pausers(registry()))
    if operator is not None:
        return operator
    return require_admin()


def require_admin() -> UInt160:
    account = get_uint160(ADMIN)
    assert check_witness(account), "not authorised"
    return account

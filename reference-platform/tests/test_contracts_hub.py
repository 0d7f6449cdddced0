"""PaymentHub: payments and their receipts, withdrawals, the pause, and setting the state back."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from neo3.contracts.contract import CONTRACT_HASHES
from neo3.core import types

from chain_fixture import GAS, Argument, Party, Signature, call, pay, within
from deployed_contracts import ONE_GAS, PEOPLE, SHOP, World, deployed_world, manifest, nef

ADMIN, OPERATOR, OWNER, PAYER, STRANGER = PEOPLE.admin, PEOPLE.operator, PEOPLE.owner, PEOPLE.payer, PEOPLE.stranger
HELD = 7 * ONE_GAS


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with deployed_world() as world:
        assert world.chain.send(pay(PAYER, world.hub, HELD, SHOP), PAYER).values() == (True,)
        yield world


def test_a_payment_leaves_a_receipt(world: World) -> None:
    hub = world.hub
    reads = call(hub, "receiptCount") + call(hub, "balanceOf", SHOP) + call(hub, "totalBalance")
    outcome = world.chain.rehearse(pay(PAYER, hub, 5, [SHOP, "two pens"]) + reads + call(hub, "getReceipt", 2), PAYER)

    paid, count, balance, total, receipt = outcome.values()
    assert (paid, count, balance, total) == (True, 2, HELD + 5, HELD + 5)
    assert isinstance(receipt, list)
    time_ms = receipt.pop(4)
    assert receipt == [2, SHOP.encode(), PAYER.raw, 5, b"two pens"]
    assert isinstance(time_ms, int)
    assert time_ms > 1_500_000_000_000
    assert outcome.events_of(hub) == [("PaymentReceived", 2, SHOP.encode(), PAYER.raw, 5, b"two pens")]


def test_a_payment_needs_no_memo(world: World) -> None:
    (receipt,) = world.chain.rehearse(call(world.hub, "getReceipt", 1)).values()

    assert isinstance(receipt, list)
    assert receipt[:4] == [1, SHOP.encode(), PAYER.raw, HELD]
    assert receipt[5] == b""


@pytest.mark.parametrize("number", [-1, 0, 2, 10**12])
def test_there_is_no_receipt_for_an_id_never_given(world: World, number: int) -> None:
    assert world.chain.rehearse(call(world.hub, "getReceipt", number)).values() == (None,)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("nobody", "unknown app"),
        ("", "unknown app"),
        (None, "unknown app"),
        (["nobody", "memo"], "unknown app"),
        ([SHOP], "data must be"),
        ([SHOP, "memo", "more"], "data must be"),
        ([SHOP, "m" * 129], "memo too long"),
        ([SHOP, "é" * 65], "memo too long"),
        ([SHOP, ["memo"]], ""),
        (int.from_bytes(SHOP.encode(), "little"), ""),
    ],
)
def test_a_payment_for_nobody_in_particular_is_refused(world: World, data: Argument, complaint: str) -> None:
    outcome = world.chain.rehearse(pay(PAYER, world.hub, 5, data), PAYER)

    assert not outcome.halted
    assert complaint in outcome.fault


def test_a_payment_of_nothing_is_refused(world: World) -> None:
    assert "not a payment" in world.chain.rehearse(pay(PAYER, world.hub, 0, SHOP), PAYER).fault


def test_only_gas_is_taken(world: World) -> None:
    neo = call(CONTRACT_HASHES.NEO_TOKEN, "transfer", world.chain.genesis.hash, world.hub, 1, SHOP)

    assert "only GAS" in world.chain.rehearse(neo, world.chain.genesis).fault
    forged = call(world.hub, "onNEP17Payment", PAYER.hash, 5, SHOP)
    assert "only GAS" in world.chain.rehearse(forged, PAYER).fault


def test_only_the_admin_registers_apps(world: World) -> None:
    hub = world.hub
    script = call(hub, "registerApp", "kiosk", PAYER.hash) * 2 + call(hub, "apps") + call(hub, "ownerOf", "kiosk")
    outcome = world.chain.rehearse(script, ADMIN)

    assert outcome.values() == (True, True, [SHOP.encode(), b"kiosk"], PAYER.raw)
    assert outcome.events_of(hub) == [("AppRegistered", b"kiosk", PAYER.raw)]
    assert "not authorised" in world.chain.rehearse(script, OWNER, OPERATOR).fault


def test_an_app_keeps_its_owner(world: World) -> None:
    script = call(world.hub, "registerApp", SHOP, STRANGER.hash)

    assert "app already registered" in world.chain.rehearse(script, ADMIN).fault


def test_there_are_at_most_64_apps_and_a_snapshot_of_them_can_be_restored(world: World) -> None:
    hub = world.hub
    full = b"".join(call(hub, "registerApp", f"{number:048}", OWNER.hash) for number in range(63))
    assert "too many apps" in world.chain.rehearse(full + call(hub, "registerApp", "more", OWNER.hash), ADMIN).fault

    snapshot = world.chain.rehearse(full + call(hub, "snapshotState"), ADMIN).values()[-1]
    assert isinstance(snapshot, bytes)
    script = call(hub, "setPaused", True) + call(hub, "restoreState", snapshot)
    assert world.chain.rehearse(script, ADMIN).values() == (True, True)


def test_the_owner_withdraws(world: World) -> None:
    hub = world.hub
    reads = call(hub, "balanceOf", SHOP) + call(hub, "totalBalance") + call(GAS, "balanceOf", hub)
    outcome = world.chain.rehearse(call(hub, "withdraw", SHOP, 3 * ONE_GAS) + reads, OWNER)

    assert outcome.values() == (True, HELD - 3 * ONE_GAS, HELD - 3 * ONE_GAS, HELD - 3 * ONE_GAS)
    assert outcome.events_of(hub) == [("Withdrawn", SHOP.encode(), OWNER.raw, 3 * ONE_GAS)]
    assert ("Transfer", hub.to_array(), OWNER.raw, 3 * ONE_GAS) in outcome.events_of(GAS)


@pytest.mark.parametrize("by", [ADMIN, OPERATOR, STRANGER], ids=["admin", "operator", "stranger"])
def test_nobody_else_withdraws(world: World, by: Party) -> None:
    assert "not authorised" in world.chain.rehearse(call(world.hub, "withdraw", SHOP, 1), by).fault


@pytest.mark.parametrize("amount", [-1, 0, HELD + 1])
def test_no_more_is_withdrawn_than_there_is(world: World, amount: int) -> None:
    assert "insufficient balance" in world.chain.rehearse(call(world.hub, "withdraw", SHOP, amount), OWNER).fault


@dataclass(frozen=True)
class Pause:
    """A way to stop the hub, and what its users then read."""

    on: str
    method: str
    arguments: tuple[Argument, ...]
    fault: str

    def script(self, world: World) -> bytes:
        contract = world.registry if self.on == "registry" else world.hub
        return call(contract, self.method, *self.arguments)


PAUSES = [
    Pause("registry", "pauseAll", ("drill",), "paused by registry"),
    Pause("registry", "setPaused", (True, SHOP), "paused by registry"),
    Pause("hub", "setPaused", (True,), "hub paused"),
]


@pytest.mark.parametrize("pause", PAUSES, ids=["everything", "the app", "the hub"])
def test_payments_and_withdrawals_ask_before_money_moves(world: World, pause: Pause) -> None:
    paid = world.chain.rehearse(pause.script(world) + pay(PAYER, world.hub, 5, SHOP), OPERATOR, PAYER)
    withdrawn = world.chain.rehearse(pause.script(world) + call(world.hub, "withdraw", SHOP, 5), OPERATOR, OWNER)

    assert pause.fault in paid.fault
    assert pause.fault in withdrawn.fault


@pytest.mark.parametrize(("pause", "paused"), list(zip(PAUSES, [True, False, True], strict=True)))
def test_the_hub_says_whether_it_stands_still(world: World, pause: Pause, paused: bool) -> None:
    script = call(world.hub, "isPaused") + pause.script(world) + call(world.hub, "isPaused")

    assert world.chain.rehearse(script, OPERATOR).values() == (False, True, paused)


def test_operators_pause_the_hub_and_only_the_admin_lifts_it(world: World) -> None:
    hub = world.hub
    pause, resume = call(hub, "setPaused", True) * 2, call(hub, "setPaused", False) * 2
    outcome = world.chain.rehearse(pause + resume + call(hub, "isPaused"), OPERATOR, ADMIN)

    assert outcome.values() == (True, True, True, True, False)
    assert outcome.events_of(hub) == [
        ("HubPauseChanged", True, OPERATOR.raw),
        ("HubPauseChanged", False, ADMIN.raw),
    ]
    assert "not authorised" in world.chain.rehearse(pause + resume, OPERATOR).fault
    assert "not authorised" in world.chain.rehearse(pause, OWNER, STRANGER).fault
    assert world.chain.rehearse(pause, ADMIN).values() == (True, True)
    assert world.chain.rehearse(pause, within(OPERATOR, hub)).values() == (True, True)


def test_an_operator_removed_from_the_registry_can_not_pause_the_hub(world: World) -> None:
    removed = call(world.registry, "removeOperator", OPERATOR.hash)
    # The admin's consent ends at the registry, so that it can't be the one who pauses the hub.
    signers = (within(ADMIN, world.registry), Signature(OPERATOR))

    assert "not authorised" in world.chain.rehearse(removed + call(world.hub, "setPaused", True), *signers).fault


def snapshot_of(world: World) -> bytes:
    (snapshot,) = world.chain.rehearse(call(world.hub, "snapshotState")).values()
    assert isinstance(snapshot, bytes)
    return snapshot


def forged(world: World, *, version: int = 1, hub: types.UInt160 | None = None, rows: Argument = ()) -> bytes:
    """A snapshot as somebody with the admin's trust, but not with the truth, would make it."""
    state: Argument = [version, world.hub if hub is None else hub, 1, rows]
    (serialised,) = world.chain.rehearse(call(CONTRACT_HASHES.STD_LIB, "serialize", state)).values()
    assert isinstance(serialised, bytes)
    return serialised + hashlib.sha256(serialised).digest()


def test_a_snapshot_holds_the_state_and_its_digest(world: World) -> None:
    snapshot = snapshot_of(world)

    assert snapshot == forged(world, rows=[[SHOP, OWNER.hash, HELD]])
    assert snapshot_of(world) == snapshot


def test_restoring_sets_balances_back_and_keeps_every_receipt(world: World) -> None:
    hub = world.hub
    script = call(hub, "withdraw", SHOP, ONE_GAS) + pay(PAYER, hub, 3 * ONE_GAS, SHOP) + call(hub, "setPaused", True)
    script += call(hub, "restoreState", snapshot_of(world))
    reads = [call(hub, "balanceOf", SHOP), call(hub, "totalBalance"), call(hub, "receiptCount"), call(hub, "isPaused")]
    outcome = world.chain.rehearse(script + b"".join(reads), PAYER, OWNER, ADMIN)

    assert outcome.values() == (True, True, True, True, HELD, HELD, 2, True)
    digest = snapshot_of(world)[-32:]
    assert outcome.events_of(hub)[-1] == ("StateRestored", digest, 1, HELD)


def test_restoring_is_open_while_the_registry_pauses_everything(world: World) -> None:
    script = call(world.registry, "pauseAll") + call(world.hub, "restoreState", snapshot_of(world))

    assert world.chain.rehearse(script, ADMIN).values() == (True, True)


def test_an_app_younger_than_the_snapshot_keeps_what_it_has(world: World) -> None:
    hub = world.hub
    script = call(hub, "registerApp", "kiosk", OWNER.hash) + pay(PAYER, hub, 5, "kiosk") + call(hub, "setPaused", True)
    script += call(hub, "restoreState", snapshot_of(world)) + call(hub, "balanceOf", "kiosk")

    assert world.chain.rehearse(script + call(hub, "totalBalance"), PAYER, ADMIN).values()[-2:] == (5, HELD + 5)


def test_a_lost_app_comes_back(world: World) -> None:
    hub = world.hub
    snapshot = forged(world, rows=[[SHOP, OWNER.hash, HELD - 9], ["kiosk", PAYER.hash, 9]])
    script = call(hub, "setPaused", True) + call(hub, "restoreState", snapshot) + call(hub, "apps")
    script += call(hub, "ownerOf", "kiosk") + call(hub, "balanceOf", "kiosk") + call(hub, "totalBalance")

    outcome = world.chain.rehearse(script, ADMIN)
    assert outcome.values()[2:] == ([SHOP.encode(), b"kiosk"], PAYER.raw, 9, HELD)


def test_restoring_needs_the_pause(world: World) -> None:
    restore = call(world.hub, "restoreState", snapshot_of(world))

    assert "restore needs the pause" in world.chain.rehearse(restore, ADMIN).fault
    app_only = call(world.registry, "setPaused", True, SHOP)
    assert "restore needs the pause" in world.chain.rehearse(app_only + restore, ADMIN).fault


def test_only_the_admin_restores(world: World) -> None:
    script = call(world.hub, "setPaused", True) + call(world.hub, "restoreState", snapshot_of(world))

    assert "not authorised" in world.chain.rehearse(script, OPERATOR, OWNER).fault


@pytest.mark.parametrize("position", [0, 5, 30, 50, -33, -32, -1])
def test_a_damaged_snapshot_is_refused(world: World, position: int) -> None:
    damaged = bytearray(snapshot_of(world))
    damaged[position] ^= 1
    script = call(world.hub, "setPaused", True) + call(world.hub, "restoreState", bytes(damaged))

    assert "digest mismatch" in world.chain.rehearse(script, ADMIN).fault


@pytest.mark.parametrize("length", [0, 31, 32])
def test_what_is_too_short_for_a_snapshot_is_refused(world: World, length: int) -> None:
    script = call(world.hub, "setPaused", True) + call(world.hub, "restoreState", bytes(length))

    assert "invalid snapshot" in world.chain.rehearse(script, ADMIN).fault


def test_no_snapshot_gives_out_more_than_the_hub_holds(world: World) -> None:
    hub = world.hub
    pause = call(hub, "setPaused", True)
    too_much = forged(world, rows=[[SHOP, OWNER.hash, HELD + 1]])
    just_right = forged(world, rows=[[SHOP, OWNER.hash, HELD]])

    assert "insolvent" in world.chain.rehearse(pause + call(hub, "restoreState", too_much), ADMIN).fault
    assert world.chain.rehearse(pause + call(hub, "restoreState", just_right), ADMIN).values() == (True, True)


def test_a_restore_after_withdrawals_stays_solvent(world: World) -> None:
    hub = world.hub
    script = call(hub, "withdraw", SHOP, 1) + call(hub, "setPaused", True)

    outcome = world.chain.rehearse(script + call(hub, "restoreState", snapshot_of(world)), OWNER, ADMIN)
    assert "insolvent" in outcome.fault


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([SHOP, OWNER.hash, -1], "invalid snapshot"),
        ([SHOP, bytes(20), 1], "invalid snapshot"),
        (["x" * 49, OWNER.hash, 1], "invalid snapshot"),
    ],
)
def test_a_snapshot_of_nonsense_is_refused(world: World, row: Argument, complaint: str) -> None:
    script = call(world.hub, "setPaused", True) + call(world.hub, "restoreState", forged(world, rows=[row]))

    assert complaint in world.chain.rehearse(script, ADMIN).fault


def test_a_snapshot_of_something_else_is_refused(world: World) -> None:
    pause = call(world.hub, "setPaused", True)
    other_hub, other_version = forged(world, hub=world.bank), forged(world, version=2)

    assert "another hub" in world.chain.rehearse(pause + call(world.hub, "restoreState", other_hub), ADMIN).fault
    assert (
        "snapshot version" in world.chain.rehearse(pause + call(world.hub, "restoreState", other_version), ADMIN).fault
    )


def test_only_the_admin_updates_the_code(world: World) -> None:
    update = call(world.hub, "update", nef("payment_hub"), manifest("payment_hub"), None)

    assert "not authorised" in world.chain.rehearse(update, OPERATOR, OWNER).fault
    assert world.chain.rehearse(update + call(world.hub, "balanceOf", SHOP), ADMIN).values()[-1] == HELD

"""PauseRegistry: the one switch that every contract of the platform asks before money moves.

Operators may only pause. Resuming, and changing who may do what, needs the admin, a multi-signature account. Which
account calls is found by CheckWitness over the operators and then the admin, so a signer needs a witness scope that
covers this contract. A call that finds the state as wanted returns true and emits nothing.

Deployment data: [admin, [operator, ...]].
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import ContractManagement
from boa3.sc.runtime import check_witness
from boa3.sc.storage import delete, get_bool, get_list, get_str, get_uint160, put_bool, put_list, put_str, put_uint160
from boa3.sc.types import UInt160
from boa3.sc.utils import CreateNewEvent, to_bytes

from identity import first_witness, is_account, is_app_id

ADMIN = b"\x01"
OPERATORS = b"\x02"
GLOBAL_PAUSE = b"\x03"
REASON = b"\x04"
APP_PAUSE = b"\x05"

OPERATORS_MAX = 8
REASON_BYTES_MAX = 256

on_global_pause_changed = CreateNewEvent([("paused", bool), ("by", UInt160), ("reason", str)], "GlobalPauseChanged")
on_app_pause_changed = CreateNewEvent([("app_id", str), ("paused", bool), ("by", UInt160)], "AppPauseChanged")
on_operator_changed = CreateNewEvent([("account", UInt160), ("enabled", bool)], "OperatorChanged")
on_admin_changed = CreateNewEvent([("previous", UInt160), ("current", UInt160)], "AdminChanged")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "PauseRegistry"
    meta.author = "Tocsin reference platform"
    meta.description = "Stops and resumes the contracts of the platform"
    meta.add_permission(contract="0xfffdc93764dbaddd97c48f252a53ea4643faa3fd", methods=["update"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    first_admin = cast(UInt160, settings[0])
    first_operators = cast(list[UInt160], settings[1])
    assert is_account(first_admin), "invalid account"
    assert len(first_operators) <= OPERATORS_MAX, "too many operators"
    kept: list[UInt160] = []
    for account in first_operators:
        assert is_account(account), "invalid account"
        assert account not in kept, "duplicate operator"
        kept.append(account)
    put_uint160(ADMIN, first_admin)
    put_list(OPERATORS, kept)


@public(safe=True)
def admin() -> UInt160:
    """The account that may resume, and that says who the operators are."""
    return get_uint160(ADMIN)


@public(safe=True)
def operators() -> list[UInt160]:
    """The accounts that may pause, at most eight."""
    return cast(list[UInt160], get_list(OPERATORS))


@public(name="isOperator", safe=True)
def is_operator(account: UInt160) -> bool:
    return account in operators()


@public(safe=True)
def reason() -> str:
    """Why everything is paused; empty when it is not, or when nobody gave a reason."""
    return get_str(REASON)


@public(name="isPaused", safe=True)
def is_paused() -> bool:
    """Whether everything is paused."""
    return get_bool(GLOBAL_PAUSE)


@public(name="isPaused", safe=True)
def is_app_paused(app_id: str) -> bool:
    """Whether this app must stand still: because it is paused itself, or because everything is."""
    return get_bool(GLOBAL_PAUSE) or get_bool(APP_PAUSE + to_bytes(app_id))


@public(name="pauseAll")
def pause_all() -> bool:
    """Pause everything without giving a reason. Operators and the admin."""
    return stop_everything("")


@public(name="pauseAll")
def pause_all_for_reason(reason: str) -> bool:
    """Pause everything; `reason` has at most 256 bytes. Operators and the admin."""
    return stop_everything(reason)


@public(name="resumeAll")
def resume_all() -> bool:
    """Lift the pause of everything; an app that was paused by itself stays paused. The admin only."""
    by = require_admin()
    if not get_bool(GLOBAL_PAUSE):
        return True
    delete(GLOBAL_PAUSE)
    delete(REASON)
    on_global_pause_changed(False, by, "")
    return True


@public(name="setPaused")
def set_paused(paused: bool, app_id: str) -> bool:
    """Pause one app (operators and the admin) or lift its pause (the admin only). `app_id` has 1 to 48 bytes."""
    by = require_right_to_set(paused)
    assert is_app_id(app_id), "invalid app id"
    # The key is spelled out each time: neo3-boa 1.5.0 dies of an internal error on delete() of a local variable.
    standing = get_bool(APP_PAUSE + to_bytes(app_id))
    if paused and not standing:
        put_bool(APP_PAUSE + to_bytes(app_id), True)
        on_app_pause_changed(app_id, True, by)
    if standing and not paused:
        delete(APP_PAUSE + to_bytes(app_id))
        on_app_pause_changed(app_id, False, by)
    return True


@public(name="addOperator")
def add_operator(account: UInt160) -> bool:
    """Let an account pause. The admin only; at most eight operators."""
    require_admin()
    assert is_account(account), "invalid account"
    accounts = operators()
    if account in accounts:
        return True
    assert len(accounts) < OPERATORS_MAX, "too many operators"
    accounts.append(account)
    put_list(OPERATORS, accounts)
    on_operator_changed(account, True)
    return True


@public(name="removeOperator")
def remove_operator(account: UInt160) -> bool:
    """Take the right to pause from an account. The admin only."""
    require_admin()
    accounts = operators()
    if account not in accounts:
        return True
    kept: list[UInt160] = []
    for other in accounts:
        if other != account:
            kept.append(other)
    put_list(OPERATORS, kept)
    on_operator_changed(account, False)
    return True


@public(name="setAdmin")
def set_admin(account: UInt160) -> bool:
    """Hand the registry over to another admin. The admin only, and it takes effect at once."""
    previous = require_admin()
    assert is_account(account), "invalid account"
    if account == previous:
        return True
    put_uint160(ADMIN, account)
    on_admin_changed(previous, account)
    return True


@public
def update(nef: bytes, manifest: bytes, data: Any):
    """Replace the contract's code; its storage stays. The admin only."""
    require_admin()
    ContractManagement.update(nef, manifest, data)


def stop_everything(why: str) -> bool:
    by = require_pauser()
    assert len(to_bytes(why)) <= REASON_BYTES_MAX, "reason too long"
    if get_bool(GLOBAL_PAUSE):
        return True
    put_bool(GLOBAL_PAUSE, True)
    put_str(REASON, why)
    on_global_pause_changed(True, by, why)
    return True


def require_right_to_set(paused: bool) -> UInt160:
    if paused:
        return require_pauser()
    return require_admin()


def require_pauser() -> UInt160:
    """The first operator, or else the admin, who witnessed this call; faults when nobody did."""
    operator = first_witness(operators())
    if operator is not None:
        return operator
    return require_admin()


def require_admin() -> UInt160:
    account = get_uint160(ADMIN)
    assert check_witness(account), "not authorised"
    return account

"""GasBank: holds the GAS from which the platform pays other people's transactions.

Each account has a sponsorship balance; the one of the platform account is the general pool. GAS sent with the data
null or "refill" goes to the pool, with an account as data to that account. Spenders, who are authorised by the admin
and proven by CheckWitness, hand GAS to an account that is to be sponsored: out of that account's own balance first,
out of the pool for the rest, and never more than the limit in one call. What stands on an account's own balance can
only be spent for that account; the admin may withdraw from the pool.

Spending stands still while the PauseRegistry pauses everything. Refills and the admin's withdrawal do not: the one
loses nothing, the other carries the GAS out of danger.

Deployment data: [admin, registry or null], or [admin, registry or null, platform account]; without one the admin is
it.
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import ContractManagement, GasToken
from boa3.sc.runtime import calling_script_hash, check_witness, executing_script_hash
from boa3.sc.storage import get, get_int, get_list, get_uint160, put_int, put_list, put_uint160
from boa3.sc.types import UInt160
from boa3.sc.utils import CreateNewEvent

from identity import first_witness, is_account
from registry_client import all_paused

ADMIN = b"\x01"
REGISTRY = b"\x02"
PLATFORM = b"\x03"
SPENDERS = b"\x04"
CALL_LIMIT = b"\x05"
BALANCE = b"\x06"

SPENDERS_MAX = 8
CALL_LIMIT_DEFAULT = 100_000_000  # 1 GAS, several times what an ordinary transaction costs
REFILL = "refill"

on_refilled = CreateNewEvent([("payer", UInt160), ("account", UInt160), ("amount", int)], "Refilled")
on_spent = CreateNewEvent([("account", UInt160), ("amount", int), ("by", UInt160)], "Spent")
on_withdrawn = CreateNewEvent([("to", UInt160), ("amount", int)], "Withdrawn")
on_spender_changed = CreateNewEvent([("account", UInt160), ("enabled", bool)], "SpenderChanged")
on_call_limit_changed = CreateNewEvent([("limit", int)], "CallLimitChanged")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "GasBank"
    meta.author = "Tocsin reference platform"
    meta.description = "Holds the GAS for sponsored transactions"
    meta.add_permission(contract="0xd2a4cff31913016155e38e474a2c06d08be276cf", methods=["transfer"])
    meta.add_permission(contract="0xfffdc93764dbaddd97c48f252a53ea4643faa3fd", methods=["update"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    first_admin = cast(UInt160, settings[0])
    assert is_account(first_admin), "invalid account"
    put_uint160(ADMIN, first_admin)
    registry = cast(UInt160, settings[1])
    if registry is not None:
        assert is_account(registry), "invalid registry"
        put_uint160(REGISTRY, registry)
    put_uint160(PLATFORM, first_admin)
    if len(settings) > 2:
        platform_account = cast(UInt160, settings[2])
        assert is_account(platform_account), "invalid account"
        put_uint160(PLATFORM, platform_account)
    put_list(SPENDERS, [])
    put_int(CALL_LIMIT, CALL_LIMIT_DEFAULT)


@public(safe=True)
def admin() -> UInt160:
    return get_uint160(ADMIN)


@public(safe=True)
def platform() -> UInt160:
    """The account whose balance is the general pool."""
    return get_uint160(PLATFORM)


@public(safe=True)
def spenders() -> list[UInt160]:
    """The accounts that may spend, at most eight."""
    return cast(list[UInt160], get_list(SPENDERS))


@public(name="callLimit", safe=True)
def call_limit() -> int:
    """The most GAS fractions that one call of spend may hand out."""
    return get_int(CALL_LIMIT)


@public(name="getBalance", safe=True)
def get_balance() -> int:
    """All GAS fractions that the bank holds."""
    return GasToken.balanceOf(executing_script_hash)


@public(name="getBalance", safe=True)
def get_balance_of(account: UInt160) -> int:
    """GAS fractions held for this account; for the platform account that is the general pool."""
    return get_int(BALANCE + account)


@public(name="onNEP17Payment")
def on_nep17_payment(payer: UInt160 | None, amount: int, data: Any):
    """Book a refill. `data` is null or "refill" for the general pool, or the account to credit."""
    assert calling_script_hash == GasToken.hash, "only GAS"
    account = platform()
    if data is not None:
        named = cast(bytes, data)
        if named != cast(bytes, REFILL):
            assert is_account(cast(UInt160, named)), "unknown refill data"
            account = cast(UInt160, named)
    put_int(BALANCE + account, get_int(BALANCE + account) + amount)
    on_refilled(cast(UInt160, payer), account, amount)


@public
def spend(account: UInt160, amount: int) -> bool:
    """Hand `amount` GAS fractions to an account that is to be sponsored. Authorised spenders only."""
    by = first_witness(spenders())
    assert by is not None, "not authorised"
    assert is_account(account), "invalid account"
    assert amount > 0, "invalid amount"
    assert amount <= call_limit(), "over the call limit"
    registry = get(REGISTRY)
    if len(registry) > 0:
        assert not all_paused(cast(UInt160, registry)), "paused by registry"

    own = get_int(BALANCE + account)
    if own >= amount:
        put_int(BALANCE + account, own - amount)
    else:
        pool_key = BALANCE + platform()
        put_int(BALANCE + account, 0)
        # Read after the write above: the account to sponsor may be the platform account itself.
        pool = get_int(pool_key)
        assert pool >= amount - own, "insufficient GAS"
        put_int(pool_key, pool - (amount - own))
    assert GasToken.transfer(executing_script_hash, account, amount, None), "transfer failed"
    on_spent(account, amount, cast(UInt160, by))
    return True


@public
def authorise(account: UInt160, enabled: bool) -> bool:
    """Let an account spend, or no longer. The admin only; at most eight spenders."""
    require_admin()
    assert is_account(account), "invalid account"
    accounts = spenders()
    known = account in accounts
    if enabled and known:
        return True
    if not enabled and not known:
        return True
    kept: list[UInt160] = []
    for other in accounts:
        if other != account:
            kept.append(other)
    if enabled:
        assert len(kept) < SPENDERS_MAX, "too many spenders"
        kept.append(account)
    put_list(SPENDERS, kept)
    on_spender_changed(account, enabled)
    return True


@public(name="setCallLimit")
def set_call_limit(limit: int) -> bool:
    """Set the most GAS fractions that one call of spend may hand out; 0 stops spending. The admin only."""
    require_admin()
    assert limit >= 0, "invalid limit"
    if limit == call_limit():
        return True
    put_int(CALL_LIMIT, limit)
    on_call_limit_changed(limit)
    return True


@public
def withdraw(to: UInt160, amount: int) -> bool:
    """Pay `amount` GAS fractions of the general pool to an account. The admin only."""
    require_admin()
    assert is_account(to), "invalid account"
    pool_key = BALANCE + platform()
    pool = get_int(pool_key)
    assert amount > 0 and amount <= pool, "insufficient GAS"
    put_int(pool_key, pool - amount)
    assert GasToken.transfer(executing_script_hash, to, amount, None), "transfer failed"
    on_withdrawn(to, amount)
    return True


@public
def update(nef: bytes, manifest: bytes, data: Any):
    """Replace the contract's code; its storage stays. The admin only."""
    require_admin()
    ContractManagement.update(nef, manifest, data)


def require_admin():
    assert check_witness(get_uint160(ADMIN)), "not authorised"

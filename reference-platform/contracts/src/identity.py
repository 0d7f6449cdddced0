"""Who is calling and who is named: witnesses, accounts and app ids.

A caller is proven by CheckWitness over a bounded list of accounts, never by who the transaction's sender is.
"""

from boa3.sc.runtime import check_witness
from boa3.sc.types import UInt160
from boa3.sc.utils import to_bytes

APP_ID_BYTES_MAX = 48


def first_witness(accounts: list[UInt160]) -> UInt160 | None:
    """The first of `accounts` that witnessed this call, or None. Callers keep the list bounded."""
    for account in accounts:
        if check_witness(account):
            return account
    return None


def is_account(account: UInt160) -> bool:
    """Whether this is a script hash that can own anything: 20 bytes and not all zero."""
    return len(account) == 20 and account != UInt160()


def is_app_id(app_id: str) -> bool:
    """Whether this can name an app: 1 to 48 bytes, so that it fits into a storage key after a one-byte prefix.

    Bytes and not characters: len() of a str compiles to StdLib.strLen, which counts what a reader sees.
    """
    size = len(to_bytes(app_id))
    return size > 0 and size <= APP_ID_BYTES_MAX

"""Who is calling: proven by CheckWitness over a list of accounts, never by who the transaction's sender is."""

from boa3.sc.runtime import check_witness
from boa3.sc.types import UInt160


def first_witness(accounts: list[UInt160]) -> UInt160 | None:
    """The first of `accounts` that witnessed this call, or None. Callers keep the list bounded."""
    for account in accounts:
        if check_witness(account):
            return account
    return None


def is_account(account: UInt160) -> bool:
    """Whether this is a script hash that can own anything: 20 bytes and not all zero."""
    return len(account) == 20 and account != UInt160()

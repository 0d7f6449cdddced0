"""GAS transfers: what a block's transactions moved from one account to another. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tocsin.connect.ports import Block, Notification, StackValue
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import ScriptHash, TxHash

GAS_CONTRACT = ScriptHash("0xd2a4cff31913016155e38e474a2c06d08be276cf")


@dataclass(frozen=True, slots=True)
class GasTransfer:
    """GAS that moved from one account to another."""

    source: ScriptHash
    recipient: ScriptHash
    amount: Gas
    tx: TxHash


def gas_transfers(block: Block, sources: Collection[ScriptHash] | None = None) -> Iterator[GasTransfer]:
    """The GAS transfers that the block's transactions made, in order; with `sources` only what left these accounts.

    Left out are mints, burns, transfers to oneself, and whatever a transaction announced that FAULTed in the end.
    """
    wanted = None if sources is None else frozenset(_raw(account) for account in sources)
    for transaction in block.transactions:
        if not transaction.halted:
            continue
        for event in transaction.notifications:
            if not _is_transfer(event):
                continue
            source, recipient, amount = event.values
            if wanted is not None and source not in wanted:
                continue
            if not (isinstance(source, bytes) and isinstance(recipient, bytes) and isinstance(amount, int)):
                continue
            if source != recipient:
                yield GasTransfer(_account(source), _account(recipient), Gas(amount), transaction.tx)


def net_flows(block: Block, accounts: Collection[ScriptHash]) -> Mapping[ScriptHash, Gas]:
    """What each account gained (or, below zero, lost) by the block's transactions; mints to it and burns count too.

    Not in it is what happens outside of transactions: fees that an account pays, and rewards.
    """
    flows: Counter[StackValue] = Counter()
    for transaction in block.transactions:
        for event in transaction.notifications if transaction.halted else ():
            if _is_transfer(event):
                source, recipient, amount = event.values
                if isinstance(amount, int):
                    flows[source] -= amount
                    flows[recipient] += amount
    return {account: Gas(flows[_raw(account)]) for account in accounts}


def _is_transfer(event: Notification) -> bool:
    return event.contract == GAS_CONTRACT and event.name == "Transfer" and len(event.values) == 3


def _account(raw: bytes) -> ScriptHash:
    return ScriptHash(f"0x{raw[::-1].hex()}")


def _raw(account: ScriptHash) -> bytes:
    return bytes.fromhex(account[2:])[::-1]

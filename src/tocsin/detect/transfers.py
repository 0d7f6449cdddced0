"""GAS transfers: what a block's transactions moved from one account to another. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin.connect.ports import Block, Notification, StackValue
from tocsin.detect.windows import Movement
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


def gas_transfers(block: Block) -> Iterator[GasTransfer]:
    """The GAS transfers that the block's transactions made, in order.

    Left out are mints, burns, transfers to oneself, and whatever a transaction announced that FAULTed in the end.
    """
    for transaction in block.transactions:
        if transaction.halted:
            for event in transaction.notifications:
                match event.values if _is_transfer(event) else ():
                    case (bytes(source), bytes(recipient), int(amount)) if source != recipient:
                        yield GasTransfer(account_in(source), account_in(recipient), Gas(amount), transaction.tx)
                    case _:
                        pass


class Outflows:
    """Finds what leaves these contracts in blocks. Quick over all else, which is most of what happens on a chain."""

    def __init__(self, contracts: Collection[ScriptHash]) -> None:
        self._contracts = {_raw(contract): contract for contract in contracts}

    def of(self, block: Block) -> Sequence[Movement]:
        """The block's movements, as `gas_transfers` has them, out of the contracts."""
        found: list[Movement] = []
        for transaction in block.transactions:
            if not transaction.halted:
                continue
            for event in transaction.notifications:
                if not _is_transfer(event):
                    continue
                source, recipient, amount = event.values
                if not isinstance(source, bytes) or (contract := self._contracts.get(source)) is None:
                    continue
                if isinstance(recipient, bytes) and isinstance(amount, int) and recipient != source:
                    to = account_in(recipient)
                    found.append(
                        Movement(block.height, block.time, amount, contract, to, transaction.sender, transaction.tx)
                    )
        return found


class Flows:
    """Reckons what these accounts gain and lose in blocks."""

    def __init__(self, accounts: Collection[ScriptHash]) -> None:
        self._accounts: Mapping[StackValue, ScriptHash] = {_raw(account): account for account in accounts}

    def of(self, block: Block) -> Mapping[ScriptHash, Gas]:
        """What each account gained by the block's transactions (or lost, below zero); mints to it and burns count too.

        Accounts that nothing moved from or to are not in it. Neither is what happens outside of transactions: fees that
        an account pays, and rewards.
        """
        flows: dict[ScriptHash, int] = {}
        for transaction in block.transactions:
            for event in transaction.notifications if transaction.halted else ():
                if not _is_transfer(event):
                    continue
                source, recipient, amount = event.values
                if not isinstance(amount, int):
                    continue
                if (giver := self._accounts.get(source)) is not None:
                    flows[giver] = flows.get(giver, 0) - amount
                if (taker := self._accounts.get(recipient)) is not None:
                    flows[taker] = flows.get(taker, 0) + amount
        return {account: Gas(flow) for account, flow in flows.items()}


def _is_transfer(event: Notification) -> bool:
    return event.contract == GAS_CONTRACT and event.name == "Transfer" and len(event.values) == 3


def account_in(raw: bytes) -> ScriptHash:
    """The account that contracts know by these bytes."""
    return ScriptHash(f"0x{raw[::-1].hex()}")


def _raw(account: ScriptHash) -> bytes:
    return bytes.fromhex(account[2:])[::-1]

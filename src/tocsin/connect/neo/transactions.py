"""Drafts of transactions: everything but the fees and the expiry, which `sender` finds out, is settled here."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from tocsin.connect.neo.mamba import Attribute, Sealed, Unsigned
from tocsin.connect.neo.script import scope_of, script_for
from tocsin.connect.neo.wallets import Key
from tocsin.connect.ports import Invocation, Signer


def _nonce() -> int:
    # Random, so that the same call at the same height is another transaction: two runs of an action are two intentions.
    return secrets.randbits(32)


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction pays, in units of 10⁻⁸ GAS."""

    system: int
    network: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction before its fees and its expiry are known; its size is final."""

    script: bytes
    signer: Signer
    key: Key
    nonce: int = field(default_factory=_nonce)
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def of(cls, calls: Sequence[Invocation], key: Key) -> "Draft":
        """One script with the calls, signed by the key with its witness scoped to the called contracts.

        Raises:
            Refused: an argument does not fit its type, or too many contracts are called.
        """
        return cls(script_for(calls), scope_of(calls, key.account), key)

    def sample(self) -> bytes:
        """The serialisation to measure the network fee with. It is not signed, so nobody can make use of it."""
        return self.key.sample(self._unsigned(Fees(system=0, network=0), valid_until_block=0))

    def signed(self, fees: Fees, valid_until_block: int, magic: int) -> Sealed:
        """The transaction as it will be sent. `valid_until_block` is the last block that may hold it."""
        return self.key.seal(self._unsigned(fees, valid_until_block), magic)

    def _unsigned(self, fees: Fees, valid_until_block: int) -> Unsigned:
        return Unsigned(
            script=self.script,
            account=self.signer.account,
            contracts=self.signer.contracts,
            nonce=self.nonce,
            system_fee=fees.system,
            network_fee=fees.network,
            valid_until_block=valid_until_block,
            attributes=self.attributes,
        )


# Where they stand in a serialised transaction: after version, nonce and system fee, little-endian.
_NETWORK_FEE = slice(13, 21)
_VALID_UNTIL = slice(21, 25)


def network_fee_of(raw: bytes) -> int:
    """The network fee of a serialised transaction, in units of 10⁻⁸ GAS."""
    return int.from_bytes(raw[_NETWORK_FEE], "little")


def valid_until_of(raw: bytes) -> int:
    """The last block that may hold a serialised transaction."""
    return int.from_bytes(raw[_VALID_UNTIL], "little")

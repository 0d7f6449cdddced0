# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportAbstractUsage=false
"""The part of neo-mamba that Tocsin uses, with types: keys, signatures, addresses, scripts, serialised transactions.

The library is typed in parts only; what is not stops here. Every import of it is inside a function, since it takes up
to a third of a second, which the commands that need no chain should not pay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tocsin.domain.hashes import ScriptHash, TxHash

type Pushable = None | bool | int | bytes | list[Pushable] | dict[bool | int | bytes, Pushable]
"""What a script can push: a list becomes an Array, a dict a Map."""


def sign(message: bytes, private_key: bytes) -> bytes:
    """The 64 bytes of the secp256r1 signature over the SHA-256 of the message."""
    from neo3.core import cryptography

    return cryptography.sign(message, private_key)


def verify(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the signature over the message's SHA-256 is this compressed public key's; False also if malformed."""
    from neo3.core.cryptography import ECCException, verify_signature

    try:
        return verify_signature(message, signature, public_key)
    except (ECCException, ValueError):
        return False


def public_key_of(private_key: bytes) -> bytes:
    """The compressed public key, 33 bytes."""
    from neo3.core.cryptography import KeyPair

    return KeyPair(private_key).public_key.to_array()


def private_key_of(nep2: str, password: str, n: int, r: int, p: int) -> bytes:
    """Decrypts a NEP-2 key with these scrypt parameters, which take about a second by design.

    Raises:
        ValueError: wrong password, or no NEP-2 key.
    """
    from neo3.wallet.account import Account
    from neo3.wallet.scrypt_parameters import ScryptParameters

    return Account.private_key_from_nep2(nep2, password, ScryptParameters(n, r, p))


def verification_script(public_key: bytes) -> bytes:
    """The script that checks one signature of this key."""
    from neo3.contracts.utils import create_signature_redeemscript
    from neo3.core.cryptography import ECCCurve, ECPoint

    return create_signature_redeemscript(ECPoint(public_key, ECCCurve.SECP256R1, True))


def account_of_key(public_key: bytes) -> ScriptHash:
    """The account that this key alone signs for."""
    from neo3.core.utils import to_script_hash

    return ScriptHash(f"0x{to_script_hash(verification_script(public_key))}")


def address_of(account: ScriptHash) -> str:
    """The `N…` address of an account."""
    from neo3.core.types import UInt160
    from neo3.wallet.utils import script_hash_to_address

    return script_hash_to_address(UInt160.from_string(account))


def account_of(address: str) -> ScriptHash:
    """The account of an `N…` address.

    Raises:
        ValueError: it is no Neo N3 address.
    """
    from neo3.wallet.types import NeoAddress
    from neo3.wallet.utils import address_to_script_hash

    return ScriptHash(f"0x{address_to_script_hash(NeoAddress(address))}")


def call_script(contract: ScriptHash, method: str, arguments: Sequence[Pushable]) -> bytes:
    """The script that calls a contract's method with all call flags; it leaves one value on the stack."""
    from neo3.core.types import UInt160
    from neo3.vm import ScriptBuilder

    items = cast("Any", [*arguments])  # the builder takes None too, but does not say so
    return ScriptBuilder().emit_contract_call_with_args(UInt160.from_string(contract), method, items).to_array()


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction of one signer, whose witness the contracts named may use. Fees in units of 10⁻⁸ GAS."""

    script: bytes
    account: ScriptHash
    contracts: tuple[ScriptHash, ...]
    nonce: int
    system_fee: int
    network_fee: int
    valid_until_block: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A transaction with a witness: its hash and its whole serialisation."""

    tx: TxHash
    raw: bytes


def seal(unsigned: Unsigned, *, public_key: bytes, private_key: bytes | None, magic: int) -> Sealed:
    """Signs and serialises. Without a private key the signature is zeros: of the right size, and of no use."""
    from neo3.core.types import UInt160
    from neo3.network.payloads.transaction import Transaction
    from neo3.network.payloads.verification import Signer, Witness, WitnessScope
    from neo3.vm import ScriptBuilder

    contracts = [UInt160.from_string(contract) for contract in unsigned.contracts]
    account = UInt160.from_string(unsigned.account)
    transaction = Transaction(
        version=0,
        nonce=unsigned.nonce,
        system_fee=unsigned.system_fee,
        network_fee=unsigned.network_fee,
        valid_until_block=unsigned.valid_until_block,
        signers=[Signer(account, WitnessScope.CUSTOM_CONTRACTS, allowed_contracts=contracts)],
        script=unsigned.script,
    )
    digest = transaction.hash()
    message = magic.to_bytes(4, "little") + digest.to_array()
    signature = bytes(64) if private_key is None else sign(message, private_key)
    invocation = ScriptBuilder().emit_push(signature).to_array()
    transaction.witnesses = [Witness(invocation, verification_script(public_key))]
    return Sealed(TxHash(f"0x{digest}"), transaction.to_array())

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

_NEP2_PREFIX = b"\x01\x42\xe0"
_NEP2_BYTES = 39

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
    """Decrypts a NEP-2 key with these scrypt parameters, which take about a third of a second by design.

    Follows NEP-2 with the standard library's scrypt (which lets other threads run) and the cipher that the library uses
    as well; the library's own function comes with a quarter of a second of imports, which a pause does not have.

    Raises:
        ValueError: wrong password, or no NEP-2 key.
    """
    import hashlib
    import unicodedata

    from base58 import b58decode_check

    decoded = b58decode_check(nep2)
    if len(decoded) != _NEP2_BYTES or decoded[:3] != _NEP2_PREFIX:
        raise ValueError("this is no NEP-2 key")
    checksum, encrypted = decoded[3:7], decoded[7:]
    phrase = unicodedata.normalize("NFC", password).encode()
    # OpenSSL's own bound on memory is below what NEP-2's parameters need in newer versions; the wallet's are checked.
    derived = hashlib.scrypt(phrase, salt=checksum, n=n, r=r, p=p, maxmem=256 * n * r + (1 << 20), dklen=64)
    from Crypto.Cipher import AES  # after scrypt, during which others may have the interpreter to themselves

    blocks = AES.new(derived[32:], AES.MODE_ECB).decrypt(encrypted)
    private_key = bytes(a ^ b for a, b in zip(blocks, derived[:32], strict=True))
    address = address_of(account_of_key(public_key_of(private_key)))
    if hashlib.sha256(hashlib.sha256(address.encode()).digest()).digest()[:4] != checksum:
        raise ValueError("wrong password")
    return private_key


def verification_script(public_key: bytes) -> bytes:
    """The script that a single signature of this key satisfies.

    Raises:
        ValueError: these are not the 33 bytes of a compressed secp256r1 key.
    """
    from neo3.contracts.utils import create_signature_redeemscript
    from neo3.core.cryptography import ECCCurve, ECCException, ECPoint

    try:
        point = ECPoint(public_key, ECCCurve.SECP256R1, True)
    except ECCException as error:
        raise ValueError("this is no public key") from error
    return create_signature_redeemscript(point)


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
class Conflicts:
    """The attribute that at most one of this transaction and `tx` is ever in a block, if they have a signer in common.

    It holds from the block on that has this transaction, whether that one HALTs or FAULTs; and where `tx` is in a block
    already, this one is refused.
    """

    tx: TxHash


@dataclass(frozen=True, slots=True)
class NotValidBefore:
    """The attribute that no block before `height` may hold the transaction; pools do not take it earlier either."""

    height: int


type Attribute = Conflicts | NotValidBefore


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction of one signer, whose witness the contracts named may use (none at all: it only pays the fees).

    Fees in units of 10⁻⁸ GAS.
    """

    script: bytes
    account: ScriptHash
    contracts: tuple[ScriptHash, ...]
    nonce: int
    system_fee: int
    network_fee: int
    valid_until_block: int
    attributes: tuple[Attribute, ...] = ()


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
    scope = WitnessScope.CUSTOM_CONTRACTS if contracts else WitnessScope.NONE
    transaction = Transaction(
        version=0,
        nonce=unsigned.nonce,
        system_fee=unsigned.system_fee,
        network_fee=unsigned.network_fee,
        valid_until_block=unsigned.valid_until_block,
        attributes=[_attribute(attribute) for attribute in unsigned.attributes],
        signers=[Signer(account, scope, allowed_contracts=contracts)],
        script=unsigned.script,
    )
    digest = transaction.hash()
    message = magic.to_bytes(4, "little") + digest.to_array()
    signature = bytes(64) if private_key is None else sign(message, private_key)
    invocation = ScriptBuilder().emit_push(signature).to_array()
    transaction.witnesses = [Witness(invocation, verification_script(public_key))]
    return Sealed(TxHash(f"0x{digest}"), transaction.to_array())


@dataclass(frozen=True, slots=True)
class Opened:
    """What the bytes of a transaction with exactly one signer say. `public_key` and `signature` are of its witness."""

    tx: TxHash
    account: ScriptHash
    contracts: tuple[ScriptHash, ...]
    script: bytes
    valid_until_block: int
    public_key: bytes
    signature: bytes
    digest: bytes


def opened(raw: bytes) -> Opened:
    """Reads a transaction that `seal` may have made: one signer, scope CustomContracts, one plain signature.

    Whether the signature is right is for `verify` to say: it is over the network number and `digest`.

    Raises:
        ValueError: it is no transaction, or one of another shape.
    """
    from neo3.network.payloads.transaction import Transaction
    from neo3.network.payloads.verification import WitnessScope

    try:
        transaction = Transaction.deserialize_from_bytes(raw)
        exact = transaction.to_array() == raw
    except Exception as error:
        # The library raises whatever its reader stumbles over, from struct.error to IndexError.
        raise ValueError("the bytes are no transaction") from error
    if not exact:
        raise ValueError("the bytes are more than a transaction")
    if len(transaction.signers) != 1 or len(transaction.witnesses) != 1:
        raise ValueError("it has several signers")
    signer, witness = transaction.signers[0], transaction.witnesses[0]
    if signer.scope != WitnessScope.CUSTOM_CONTRACTS or transaction.attributes:
        raise ValueError("its witness is not limited to named contracts, or it has attributes")
    # PUSHDATA1 64 <signature>; PUSHDATA1 33 <public key> SYSCALL CheckSig
    invocation, verification = bytes(witness.invocation_script), bytes(witness.verification_script)
    if len(invocation) != 66 or len(verification) != 40:
        raise ValueError("its witness is no plain signature")
    public_key, signature = verification[2:35], invocation[2:]
    account = ScriptHash(f"0x{signer.account}")
    if verification_script(public_key) != verification or account_of_key(public_key) != account:
        raise ValueError("its witness is not of its signer")
    digest = transaction.hash()
    return Opened(
        tx=TxHash(f"0x{digest}"),
        account=account,
        contracts=tuple(ScriptHash(f"0x{contract}") for contract in signer.allowed_contracts),
        script=bytes(transaction.script),
        valid_until_block=transaction.valid_until_block,
        public_key=public_key,
        signature=signature,
        digest=digest.to_array(),
    )


def _attribute(attribute: Attribute) -> Any:
    # The library has neither of the two; the module defines them when it is imported, for reading as well.
    from tocsin.connect.neo import attributes

    match attribute:
        case Conflicts(tx):
            return attributes.ConflictsAttribute.of(tx)
        case NotValidBefore(height):
            return attributes.NotValidBeforeAttribute.of(height)

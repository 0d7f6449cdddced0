"""Who there is on the platform: named key pairs derived from one seed, the two multi-signature accounts, their wallets.

The same seed gives the same accounts, so that a prepared chain needs to keep only the seed. The keys belong to one
private chain: wallets are encrypted with scrypt n=2, which takes no time and protects nothing. Never do that with a
real key. What the accounts may do is decided by `deploy`.
"""

# neo-mamba leaves some of its own methods partly untyped; that is what the pyright remarks below are about.

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from neo3.contracts.utils import create_multisig_redeemscript, create_signature_redeemscript
from neo3.core.cryptography import ECPoint, KeyPair
from neo3.core.cryptography import sign as ecdsa_sign  # pyright: ignore[reportUnknownVariableType]
from neo3.core.types import UInt160
from neo3.core.utils import to_script_hash
from neo3.vm import ScriptBuilder
from neo3.wallet.account import Account as WalletAccount
from neo3.wallet.scrypt_parameters import ScryptParameters
from neo3.wallet.utils import script_hash_to_address
from neo3.wallet.wallet import Wallet

PRIVATE_CHAIN_SCRYPT = ScryptParameters(n=2, r=1, p=1)
"""Fast and worthless: for wallets of a throw-away private chain only."""

GUARDIANS = 3
GUARDIANS_NEEDED = 2
PAYERS = 3


@dataclass(frozen=True)
class KeyAccount:
    """A key pair with a name."""

    name: str
    private_key: bytes = field(repr=False)

    @cached_property
    def public_key(self) -> ECPoint:
        return KeyPair(self.private_key).public_key

    @property
    def public_key_hex(self) -> str:
        """The compressed public key, 66 hexadecimal digits."""
        return str(self.public_key)

    @cached_property
    def verification_script(self) -> bytes:
        return create_signature_redeemscript(self.public_key)

    @cached_property
    def script_hash(self) -> UInt160:
        return to_script_hash(self.verification_script)

    @property
    def hash(self) -> str:
        """The script hash as '0x…', most significant byte first, as the RPC writes it."""
        return f"0x{self.script_hash}"

    @property
    def address(self) -> str:
        return script_hash_to_address(self.script_hash)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the secp256r1 signature over `message`."""
        return ecdsa_sign(message, self.private_key)

    def invocation_script(self, message: bytes) -> bytes:
        """Push what the verification script checks: the signature of `message` (magic and transaction hash)."""
        builder = ScriptBuilder()
        builder.emit_push(self.sign(message))  # pyright: ignore[reportUnknownMemberType]
        return builder.to_array()


@dataclass(frozen=True)
class MultiSigAccount:
    """An account of several members, `threshold` of whom must sign."""

    name: str
    threshold: int
    members: tuple[KeyAccount, ...]

    def __post_init__(self) -> None:
        assert 1 <= self.threshold <= len(self.members)

    @cached_property
    def verification_script(self) -> bytes:
        return create_multisig_redeemscript(self.threshold, [member.public_key for member in self.members])

    @cached_property
    def script_hash(self) -> UInt160:
        return to_script_hash(self.verification_script)

    @property
    def hash(self) -> str:
        """The script hash as '0x…', most significant byte first, as the RPC writes it."""
        return f"0x{self.script_hash}"

    @property
    def address(self) -> str:
        return script_hash_to_address(self.script_hash)

    def invocation_script(self, message: bytes) -> bytes:
        """Push what the verification script checks: `threshold` signatures of `message`."""
        # The VM compares signatures with keys in one pass, so they must come in the order of the sorted keys.
        in_key_order = sorted(self.members, key=lambda member: member.public_key)
        builder = ScriptBuilder()
        for member in in_key_order[: self.threshold]:
            builder.emit_push(member.sign(message))  # pyright: ignore[reportUnknownMemberType]
        return builder.to_array()


type Signatory = KeyAccount | MultiSigAccount
"""An account that can witness a transaction, with one key or several."""


@dataclass(frozen=True)
class Responders:
    """The people of the drills, with the keys that they are enrolled by."""

    alice: KeyAccount
    bob: KeyAccount
    carol: KeyAccount


@dataclass(frozen=True)
class Accounts:
    """Everybody on the platform, by role."""

    validators: tuple[KeyAccount, ...]
    committee: MultiSigAccount
    """Holds the GAS of the genesis block."""
    guardians: tuple[KeyAccount, ...]
    admin: MultiSigAccount
    """Two of the three guardians: resumes, withdraws, says who the operators are."""
    operator: KeyAccount
    """The pause key: may stop things and nothing else."""
    refill: KeyAccount
    app_owner: KeyAccount
    payers: tuple[KeyAccount, ...]
    probe: KeyAccount
    """An honest user whose calls show whether a pause has an effect."""
    attacker: KeyAccount
    responders: Responders
    wallet_password: str = field(repr=False)

    @classmethod
    def derive(cls, seed: bytes, validators: int = 1) -> "Accounts":
        """All accounts of a platform. The same seed gives the same ones; take 32 random bytes for a new platform."""

        def secret(name: str) -> bytes:
            return hmac.digest(seed, f"miniapp-platform/{name}".encode(), hashlib.sha256)

        def key(name: str) -> KeyAccount:
            return KeyAccount(name, secret(name))

        validator_keys = tuple(key(f"validator-{number}") for number in range(1, validators + 1))
        guardians = tuple(key(f"guardian-{number}") for number in range(1, GUARDIANS + 1))
        return cls(
            validators=validator_keys,
            # The consensus threshold of dBFT: all but the third that may fail.
            committee=MultiSigAccount("committee", validators - (validators - 1) // 3, validator_keys),
            guardians=guardians,
            admin=MultiSigAccount("admin", GUARDIANS_NEEDED, guardians),
            operator=key("operator"),
            refill=key("refill"),
            app_owner=key("app-owner"),
            payers=tuple(key(f"payer-{number}") for number in range(1, PAYERS + 1)),
            probe=key("probe"),
            attacker=key("attacker"),
            responders=Responders(key("alice"), key("bob"), key("carol")),
            wallet_password=secret("wallet password").hex()[:32],
        )

    def __iter__(self) -> Iterator[KeyAccount]:
        """Every key pair, each once."""
        yield from self.validators
        yield from self.guardians
        yield from (self.operator, self.refill, self.app_owner)
        yield from self.payers
        yield from (self.probe, self.attacker)
        yield from (self.responders.alice, self.responders.bob, self.responders.carol)

    def write_wallets(self, folder: Path) -> None:
        """Write a NEP-6 wallet `<name>.json` for each key pair, readable by the owner only, and `password` beside them.

        A guardian's wallet holds the admin account too, so that `neo-go wallet sign` works with it.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / "password", self.wallet_password + "\n")
        for account in self:
            shared = self.admin if account in self.guardians else None
            write_private(folder / f"{account.name}.json", wallet_json(account, self.wallet_password, shared))


def wallet_json(account: KeyAccount, password: str, shared: MultiSigAccount | None = None) -> str:
    """The NEP-6 text of a wallet with this account and, if given, a multi-signature account that it is a member of."""
    wallet = Wallet(name=account.name, scrypt_params=PRIVATE_CHAIN_SCRYPT)
    wallet.account_add(
        WalletAccount(account.private_key, label=account.name, scrypt_parameters=PRIVATE_CHAIN_SCRYPT), is_default=True
    )
    if shared is not None:
        wallet.import_multisig_address(shared.threshold, [member.public_key for member in shared.members])
    document = cast(object, wallet.to_json(password))  # pyright: ignore[reportUnknownMemberType]
    return json.dumps(document)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on, replacing one that is there."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)

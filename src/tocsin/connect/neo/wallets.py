"""Keys: one for each purpose, read from NEP-6 wallets when first needed, and never shown.

A purpose ("pause", "refill") has the key that the configuration gives it and no other. Opening a wallet takes about a
second of scrypt by design, so it happens in a thread.
"""

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin.connect.neo import mamba
from tocsin.connect.neo.network import KeySource
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.hashes import ScriptHash

WALLET_BYTES_MAX = 1024 * 1024
SCRYPT_MEMORY_MAX = 256 * 1024 * 1024
"""Bytes; a wallet file must not make us allocate what it likes. NEP-2's own parameters need 16 MiB."""
_SHARED_NEXT_STEP = "give each purpose an account of its own, or say in the configuration that they share one"


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair for one purpose. `public_key` is compressed (33 bytes); the private key is in no representation."""

    purpose: str
    account: ScriptHash
    public_key: bytes
    _private_key: bytes = field(repr=False, compare=False)

    @classmethod
    def of_private_key(cls, purpose: str, private_key: bytes) -> "Key":
        """The key pair with this private key (32 bytes)."""
        public_key = mamba.public_key_of(private_key)
        return cls(purpose, mamba.account_of_key(public_key), public_key, private_key)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the secp256r1 signature over the SHA-256 of `message`."""
        return mamba.sign(message, self._private_key)

    def seal(self, unsigned: mamba.Unsigned, magic: int) -> mamba.Sealed:
        """The transaction signed for the network of this number."""
        return mamba.seal(unsigned, public_key=self.public_key, private_key=self._private_key, magic=magic)

    def sample(self, unsigned: mamba.Unsigned) -> bytes:
        """The transaction's serialisation with zeros for a signature, to be measured."""
        return mamba.seal(unsigned, public_key=self.public_key, private_key=None, magic=0).raw


class KeyRing:
    """The configured keys by purpose. No two of them have the same account, unless that is said explicitly.

    Raises:
        ConfigurationInvalid: two have. Wallets whose addresses can't be read now are looked at when they are opened.
    """

    def __init__(self, sources: Sequence[KeySource]) -> None:
        _refuse_shared_accounts(sources)
        self._sources = {source.purpose: source for source in sources}
        self._keys: dict[str, Key] = {}
        self._opening = asyncio.Lock()

    async def key(self, purpose: str) -> Key:
        """The key for this purpose; its wallet is opened at the first call.

        Raises:
            Refused: no key is configured for this purpose, or its wallet can't be opened.
        """
        source = self._sources.get(purpose)
        if source is None:
            configured = ", ".join(sorted(self._sources)) or "none"
            raise Refused(
                "key-missing",
                f"no key is configured for {purpose!r} (configured: {configured})",
                next_step="give this purpose a key of its own; the key of another purpose is not used in its place",
            )
        # One at a time: opened twice at once, a wallet would cost its second and its memory twice.
        async with self._opening:
            if purpose not in self._keys:
                key = await asyncio.to_thread(open_key, source)
                self._refuse_shared(source, key)
                self._keys[purpose] = key
            return self._keys[purpose]

    def _refuse_shared(self, source: KeySource, key: Key) -> None:
        for other in self._keys.values():
            if other.account == key.account and not source.may_share_with(self._sources[other.purpose]):
                raise Refused(
                    "account-shared",
                    f"{source.purpose!r} and {other.purpose!r} have the same account {mamba.address_of(key.account)}",
                    next_step=_SHARED_NEXT_STEP,
                )


def _refuse_shared_accounts(sources: Sequence[KeySource]) -> None:
    purposes: dict[str, list[KeySource]] = {}
    for source in sources:
        try:
            address = _choose(_read_wallet(source), source).address
        except Refused:
            continue
        purposes.setdefault(address, []).append(source)
    for address, sharing in purposes.items():
        for one, other in itertools.combinations(sharing, 2):
            if not one.may_share_with(other):
                raise ConfigurationInvalid(
                    "account-shared",
                    f"the purposes {one.purpose!r} and {other.purpose!r} have the same account {address}",
                    next_step=_SHARED_NEXT_STEP,
                    data={"purposes": [one.purpose, other.purpose], "address": address},
                )


def open_key(source: KeySource) -> Key:
    """Opens the wallet and decrypts the one key. Blocks for about a second.

    Raises:
        Refused: wallet or password is missing or wrong, or the account is not one with a single key.
    """
    wallet = _read_wallet(source)
    entry = _choose(wallet, source)
    if entry.key is None:
        raise _unusable(
            source, f"{entry.address} is watch-only or has several keys; one with a key of its own is needed"
        )
    password = _password(source)

    try:
        private_key = mamba.private_key_of(entry.key, password, wallet.scrypt.n, wallet.scrypt.r, wallet.scrypt.p)
    except ValueError:
        # Without its cause on purpose: what is raised from decryption belongs in no log.
        raise Refused(
            "wallet-locked",
            f"the wallet {source.wallet} for {source.purpose!r} does not open with its password",
            next_step="check the password and that the wallet is the right one",
        ) from None
    public_key = mamba.public_key_of(private_key)
    account = mamba.account_of_key(public_key)
    if mamba.address_of(account) != entry.address:
        # A multi-signature entry may carry its member's key: signing with it alone would be refused by the chain.
        raise _unusable(source, f"{entry.address} is not the account of its key (a multi-signature account?)")
    return Key(source.purpose, account, public_key, private_key)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    address: str
    key: str | None = None
    is_default: bool = Field(default=False, alias="isDefault")


class _Scrypt(BaseModel):
    n: int = Field(ge=2, le=2**24)
    r: int = Field(ge=1, le=1024)
    p: int = Field(ge=1, le=1024)


class _Wallet(BaseModel):
    model_config = ConfigDict(extra="ignore")

    scrypt: _Scrypt
    accounts: tuple[_Entry, ...]


def _read_wallet(source: KeySource) -> _Wallet:
    try:
        text = _bounded_text(source.wallet)
        wallet = _Wallet.model_validate_json(text)
    except OSError as error:
        raise _unusable(source, error.strerror or "it can't be read") from error
    except ValidationError:
        # Pydantic quotes what it could not read, and this file holds (encrypted) keys.
        raise _unusable(source, "it is no NEP-6 wallet") from None
    if 128 * wallet.scrypt.n * wallet.scrypt.r > SCRYPT_MEMORY_MAX:
        raise _unusable(source, "its scrypt parameters ask for too much memory")
    return wallet


def _bounded_text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(WALLET_BYTES_MAX)


def _choose(wallet: _Wallet, source: KeySource) -> _Entry:
    if source.address is not None:
        chosen = [entry for entry in wallet.accounts if entry.address == source.address]
        if not chosen:
            raise _unusable(source, f"it has no account {source.address}")
        return chosen[0]
    chosen = [entry for entry in wallet.accounts if entry.is_default] or list(wallet.accounts)
    if len(chosen) != 1:
        raise _unusable(source, f"it has {len(chosen)} accounts to choose from; name one by its address")
    return chosen[0]


def _password(source: KeySource) -> str:
    if source.password_file is not None:
        try:
            # Editors end the file with a line break that is no part of the password; other spaces may be.
            return _bounded_text(source.password_file).rstrip("\r\n")
        except OSError as error:
            raise Refused(
                "password-missing",
                f"the password file {source.password_file} for {source.purpose!r} can't be read: {error.strerror}",
            ) from error
    password = os.environ.get(source.password_env or "")
    if not password:
        raise Refused(
            "password-missing",
            f"the password for {source.purpose!r} is not in the environment",
            next_step=f"set {source.password_env}",
        )
    return password


def _unusable(source: KeySource, why: str) -> Refused:
    return Refused("wallet-unusable", f"the wallet {source.wallet} for {source.purpose!r} can't be used: {why}")

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportAbstractUsage=false
"""Verification scripts: who must sign for an account, and the invocation script that carries the signatures. Pure.

Two kinds are known: one key, and m of n keys. Both are recognised only in the exact form that the protocol's own tools
write. How partly signed transactions travel between people is `exchange`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tocsin.connect.neo import mamba
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.hashes import ScriptHash

KEYS_MAX = 1024
"""The protocol's limit of keys in one account."""
_KEY_BYTES = 33
_SIGNATURE_BYTES = 64
_CHECK_MULTISIG = bytes.fromhex("419ed0dc3a")
_CHECK_SIG = bytes.fromhex("4156e7b327")
_PUSH_KEY = bytes([0x0C, _KEY_BYTES])
_PUSH_SIGNATURE = bytes([0x0C, _SIGNATURE_BYTES])


@dataclass(frozen=True, slots=True)
class Verification:
    """Who must sign for an account: `needed` of `public_keys` (compressed), which stand in the order of the script."""

    needed: int
    public_keys: tuple[bytes, ...]
    script: bytes

    @property
    def account(self) -> ScriptHash:
        """The account that the script stands for."""
        return account_of_script(self.script)

    @property
    def is_single(self) -> bool:
        """Whether it is the script of a single key, which is not the same account as 1 of 1 keys."""
        return self.script.endswith(_CHECK_SIG)

    def chosen(self, signatures: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
        """The signatures that count: the first `needed` ones in the order of the keys, which the chain insists on."""
        return tuple(signatures[key] for key in self.public_keys if key in signatures)[: self.needed]

    def invocation(self, signatures: Mapping[bytes, bytes]) -> bytes:
        """The script that pushes the signatures. There must be enough of them."""
        chosen = self.chosen(signatures)
        assert len(chosen) == self.needed, "only a complete set of signatures makes a witness"
        return b"".join(_PUSH_SIGNATURE + signature for signature in chosen)

    def sample(self) -> bytes:
        """An invocation script of the right size, and of no use, to measure fees with."""
        return (_PUSH_SIGNATURE + bytes(_SIGNATURE_BYTES)) * self.needed


def multisig_of(needed: int, public_keys: Sequence[bytes]) -> Verification:
    """The account of `needed` of these keys, in whatever order they are given.

    Raises:
        ConfigurationInvalid: it can't be an account: a key is none, or comes twice, or the number does not fit.
    """
    if not 1 <= needed <= len(public_keys) <= KEYS_MAX:
        raise ConfigurationInvalid(
            "multisig-impossible",
            f"{needed} of {len(public_keys)} keys can't be an account",
            next_step="mend the number of signatures (m) or the keys",
        )
    # The protocol sorts by the point's x and then y. Only a key and its own negation share an x: nobody's two keys.
    ordered = sorted(public_keys, key=lambda key: key[1:])
    if len({key[1:] for key in ordered}) != len(ordered):
        raise ConfigurationInvalid("multisig-impossible", "one of the keys comes twice", next_step="mend the keys")
    for key in ordered:
        _require_public_key(key)
    return Verification(needed, tuple(ordered), _multisig_script(needed, ordered))


def single_of(public_key: bytes) -> Verification:
    """The account of one key.

    Raises:
        ConfigurationInvalid: it is no public key.
    """
    _require_public_key(public_key)
    return Verification(1, (public_key,), mamba.verification_script(public_key))


def verification_of(script: bytes) -> Verification:
    """Reads a verification script.

    Raises:
        Refused: it is neither of one key nor of m of n keys.
    """
    if len(script) == len(_PUSH_KEY) + _KEY_BYTES + len(_CHECK_SIG) and script.endswith(_CHECK_SIG):
        key = script[2 : 2 + _KEY_BYTES]
        if script == _PUSH_KEY + key + _CHECK_SIG and is_public_key(key):
            return Verification(1, (key,), script)
    elif script.endswith(_CHECK_MULTISIG):
        keys = tuple(script[at + 2 : at + 2 + _KEY_BYTES] for at in _key_places(script))
        needed = _pushed(script)
        # Written anew it must be the same bytes, in the same order of keys; then nothing else hides in it.
        possible = 1 <= needed <= len(keys) <= KEYS_MAX
        if possible and _multisig_script(needed, keys) == script and all(map(is_public_key, keys)):
            return Verification(needed, keys, script)
    raise Refused(
        "script-unknown",
        "a verification script is neither of one key nor of m of n keys",
        next_step="only accounts with keys are signed for here; a contract's own account is not",
    )


def is_public_key(key: bytes) -> bool:
    """Whether these are 33 bytes of a point on the curve secp256r1, compressed."""
    from neo3.core.cryptography import ECCCurve, ECCException, ECPoint

    if len(key) != _KEY_BYTES or key[0] not in (2, 3):
        return False
    try:
        ECPoint(key, ECCCurve.SECP256R1, True)
    except ECCException:
        return False
    return True


def _require_public_key(key: bytes) -> None:
    if not is_public_key(key):
        raise ConfigurationInvalid(
            "no-public-key",
            f"{key.hex()} is no public key of the curve secp256r1",
            next_step="copy the compressed key again: 66 hexadecimal digits",
        )


def account_of_script(script: bytes) -> ScriptHash:
    """The account that a verification script stands for."""
    from neo3.core.utils import to_script_hash

    return ScriptHash(f"0x{to_script_hash(script)}")


def _multisig_script(needed: int, keys: Sequence[bytes]) -> bytes:
    pushed = b"".join(_PUSH_KEY + key for key in keys)
    return _push(needed) + pushed + _push(len(keys)) + _CHECK_MULTISIG


def _push(number: int) -> bytes:
    if number <= 16:
        return bytes([0x10 + number])
    if number <= 127:
        return bytes([0x00, number])
    return b"\x01" + number.to_bytes(2, "little")


def _pushed(script: bytes) -> int:
    """The number that the script pushes first; 0 where it pushes none."""
    match script[0]:
        case small if 0x11 <= small <= 0x20:
            return small - 0x10
        case 0x00:
            return script[1]
        case 0x01:
            return int.from_bytes(script[1:3], "little")
        case _:
            return 0


def _key_places(script: bytes) -> list[int]:
    at = {0x00: 2, 0x01: 3}.get(script[0], 1)
    places: list[int] = []
    while script[at : at + 2] == _PUSH_KEY and at + 2 + _KEY_BYTES <= len(script):
        places.append(at)
        at += 2 + _KEY_BYTES
    return places

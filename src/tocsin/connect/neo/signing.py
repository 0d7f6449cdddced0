"""Signatures over messages by enrolled keys (approvals): secp256r1 over SHA-256, as for transactions.

What is signed and who is enrolled are the callers' business; a person's key is opened with `wallets.open_key`.
"""

from tocsin.connect.neo import mamba
from tocsin.connect.neo.wallets import Key

_SIGNATURE_BYTES = 64
_PUBLIC_KEY_BYTES = 33


def sign_message(key: Key, message: bytes) -> str:
    """The key's signature over the message, 128 hexadecimal digits."""
    return key.sign(message).hex()


def verify_message(public_key: str, message: bytes, signature: str) -> bool:
    """Whether the signature (hexadecimal) over the message was made by this key (compressed, 66 hexadecimal digits).

    False also for a key or a signature that is malformed.
    """
    try:
        key, signed = bytes.fromhex(public_key), bytes.fromhex(signature)
    except ValueError:
        return False
    if len(key) != _PUBLIC_KEY_BYTES or len(signed) != _SIGNATURE_BYTES:
        return False
    return mamba.verify(message, signed, key)

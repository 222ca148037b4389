"""A person's own key under a decision: Ed25519 in the form of an nkey.

Theory: what is signed is the decision itself as canonical JSON: keys sorted, no white space, UTF-8,
without `key`, `signature` and the fields that have their default. The decision's id is in it, so a
repeat gets the first answer; phase, attempt and commit are in it, so it fits no other place.
"""

import base64
import binascii
import json
from typing import Final, TypeVar

import nkeys
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from libs.contracts.requests import DecisionRequest, LadderRequest

Signable = TypeVar("Signable", DecisionRequest, LadderRequest)

RAW_BYTES: Final = 35
"""A public nkey: one byte of prefix, 32 of key, two of checksum."""


def signed_bytes(request: DecisionRequest | LadderRequest) -> bytes:
    """What the signature of a decision is over."""
    tree = request.model_dump(mode="json", exclude={"key", "signature"}, exclude_defaults=True)
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(request: Signable, seed: str) -> Signable:
    """The decision with the public key of a seed and its signature."""
    pair = nkeys.from_seed(seed.encode())
    signature = base64.urlsafe_b64encode(pair.sign(signed_bytes(request))).rstrip(b"=").decode()
    return request.model_copy(update={"key": pair.public_key.decode(), "signature": signature})


def is_signed_well(request: DecisionRequest | LadderRequest) -> bool:
    """Whether the signature is that of the key in the request; whose key that is, is another question."""
    key = public_bytes(request.key or "")
    if key is None or request.signature is None:
        return False
    try:
        signature = base64.b64decode(_padded(request.signature), altchars=b"-_", validate=True)
        VerifyKey(key).verify(signed_bytes(request), signature)
    except (BadSignatureError, binascii.Error, ValueError):
        return False
    return True


def public_bytes(text: str) -> bytes | None:
    """The key in a person's public nkey; `None` for anything else."""
    if not text.startswith("U") or not text.isascii():
        return None
    try:
        raw = base64.b32decode(text.encode())
    except binascii.Error:
        return None
    is_whole = len(raw) == RAW_BYTES and raw[0] == nkeys.PREFIX_BYTE_USER
    return raw[1:33] if is_whole and nkeys.crc16(bytearray(raw[:33])) == int.from_bytes(raw[33:], "little") else None


def _padded(text: str) -> bytes:
    bare = text.rstrip("=").encode()
    return bare + b"=" * (-len(bare) % 4)

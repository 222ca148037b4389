"""The keys on disk: one nkey seed per role, made once, readable by their owner only."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import nkeys

ROLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")


class KeyFileError(Exception):
    """A key is missing, unreadable or no key at all; the message is one sentence for a person."""


def ensure(keys: Path, roles: Iterable[str]) -> Mapping[str, str]:
    """The public key of each role; what is missing under `keys` is made first."""
    try:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys.chmod(0o700)
        return {role: public(_ensure_seed(keys, role)) for role in roles}
    except OSError as error:
        raise KeyFileError(f"The keys in {keys} cannot be made: {error}.") from error


def seed(keys: Path, role: str) -> str:
    """The secret seed of a role, as a client needs it to connect."""
    path = _path(keys, role)
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise KeyFileError(f"There is no key for {role} in {keys}; expected the file {path.name}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"The key {path} cannot be read: {error}.") from error
    public(text, str(path))
    return text


def public(text: str, name: str = "the key") -> str:
    """The public half of a user seed."""
    try:
        prefix, _ = nkeys.decode_seed(text.encode())
        pair = nkeys.from_seed(text.encode())
    except (nkeys.NkeysError, ValueError) as error:
        raise KeyFileError(f"{name} does not hold an nkey seed.") from error
    if prefix != nkeys.PREFIX_BYTE_USER:
        raise KeyFileError(f"{name} holds an nkey seed, but not a user's.")
    return str(pair.public_key.decode())


def _ensure_seed(keys: Path, role: str) -> str:
    if not _path(keys, role).exists():
        _make_seed(_path(keys, role))
    return seed(keys, role)


def _make_seed(path: Path) -> None:
    """Whole or not at all, and never over another: of two processes at once one makes the key, both read it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER))
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _path(keys: Path, role: str) -> Path:
    if not ROLE.fullmatch(role):
        raise KeyFileError(f"{role!r} is no role name: letters, digits, - and _ only, a letter first.")
    return keys / f"{role}.nk"

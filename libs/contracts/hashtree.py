"""A checkpoint of the log: the Merkle tree hash over its messages, by which anybody sees later what was changed.

Theory: RFC 6962, section 2.1: a leaf hashes 0x00 and a message's canonical bytes, a node 0x01 and both halves, and
the left half is the largest power of two below the whole. The tree grows by one leaf without the others: only the
roots of the complete subtrees so far are kept. Beside it stands, for each run and workflow, a chain of hashes over
its own messages alone, so that a root that differs can be told apart by what it differs in.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from libs.contracts.export import Entry
from libs.contracts.words import Digest, Frozen

HEADS_MAX: Final = 10_000
"""Above so many runs and workflows a checkpoint names none of them."""
EMPTY: Final = hashlib.sha256(b"").hexdigest()

Count = Annotated[int, Field(ge=0)]


class Head(Frozen):
    """The last message of one run, workflow, issue or service, and the chain of hashes over all of its own."""

    sequence: Count
    digest: Digest


class Checkpoint(Frozen):
    """What the first `size` messages of the log were; `at` is the store's time of the last of them.

    `heads` is `None` where there are too many; `heads_digest` is over all of them in any case.
    """

    size: Count
    root: Digest
    at: float | None = None
    heads_count: Count
    heads_digest: Digest
    heads: dict[str, Head] | None = None


class Tree:
    """The tree hash over leaves that are added one by one."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []
        """Roots of complete subtrees, the largest first: one for each bit that is set in the size."""

    def add(self, leaf: bytes) -> None:
        """Add the hash of one more leaf."""
        size, node = self.size, leaf
        while size & 1:
            node = _node(self._complete.pop(), node)
            size >>= 1
        self._complete.append(node)
        self.size += 1

    @property
    def root(self) -> str:
        if not self._complete:
            return EMPTY
        *left, node = self._complete
        for subtree in reversed(left):
            node = _node(subtree, node)
        return node.hex()


class Seal:
    """The tree and the heads over all messages seen so far."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._at: float | None = None

    @property
    def size(self) -> int:
        return self._tree.size

    def add(self, entry: Entry) -> None:
        leaf = hash_of(entry.canonical)
        self._tree.add(leaf)
        _, chain = self._heads.get(entry.aggregate, (0, b""))
        self._heads[entry.aggregate] = (entry.sequence, hashlib.sha256(chain + leaf).digest())
        self._at = entry.time

    def heads(self) -> dict[str, Head]:
        return {
            name: Head(sequence=sequence, digest=chain.hex()) for name, (sequence, chain) in sorted(self._heads.items())
        }

    def checkpoint(self) -> Checkpoint:
        heads = self.heads()
        return Checkpoint(
            size=self.size,
            root=self._tree.root,
            at=self._at,
            heads_count=len(heads),
            heads_digest=_digest(heads),
            heads=heads if len(heads) <= HEADS_MAX else None,
        )


def hash_of(message: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + message).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _digest(heads: Mapping[str, Head]) -> str:
    lines = (f"{name} {head.sequence} {head.digest}\n" for name, head in heads.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()

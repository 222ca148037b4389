"""A log held against an earlier checkpoint of it: cut, changed, or only grown since."""

from collections.abc import Iterator, Mapping
from typing import Final

from libs.contracts.export import Entry
from libs.contracts.hashtree import Checkpoint, Head, Seal
from services.gatekeeper.audit.findings import Finding

NAMED_MAX: Final = 20
"""Runs and workflows that are named where much has changed."""


class Held:
    """The log's own seal, as of as many messages as the checkpoint counted, and as of its end."""

    def __init__(self, before: Checkpoint | None = None) -> None:
        self._before = before
        self._seal = Seal()
        self._then: Checkpoint | None = None
        self._then_heads: Mapping[str, Head] = {}

    def see(self, entry: Entry) -> None:
        self._seal.add(entry)
        if self._before is not None and self._seal.size == self._before.size:
            self._keep()

    def checkpoint(self) -> Checkpoint:
        return self._seal.checkpoint()

    def end(self) -> Iterator[Finding]:
        if self._before is None:
            return
        if self._then is None:
            self._keep()
            if self._seal.size < self._before.size:
                said = f"{self._before.size - self._seal.size} of the {self._before.size} messages are gone"
                yield Finding("log.cut", self._seal.size + 1, "", f"{said} that the checkpoint counted")
        assert self._then is not None, "it was kept just now"
        if (self._then.root, self._then.heads_digest) != (self._before.root, self._before.heads_digest):
            yield from self._changed(self._before)

    def story(self) -> str | None:
        """What became of the checkpoint, where nothing is wrong with it."""
        if self._before is None or any(True for _ in self.end()):
            return None
        more = self._seal.size - self._before.size
        grown = f"and {more} have come since" if more else "and none has come since"
        return f"The {self._before.size} messages of the checkpoint stand unchanged, {grown}."

    def _keep(self) -> None:
        self._then, self._then_heads = self._seal.checkpoint(), self._seal.heads()

    def _changed(self, before: Checkpoint) -> Iterator[Finding]:
        is_cut = self._seal.size < before.size
        names = self._differing(before)
        if before.heads is None or not names:
            if not is_cut:
                said = "the hash over its messages is another one; in what they differ it does not tell"
                yield Finding("log.changed", 0, "", f"of the first {before.size} messages some were changed: {said}")
            return
        for name in names[:NAMED_MAX]:
            yield self._difference(name, before.heads)
        if len(names) > NAMED_MAX:
            yield Finding("log.changed", 0, "", f"{len(names) - NAMED_MAX} more runs and workflows differ")

    def _differing(self, before: Checkpoint) -> list[str]:
        heads = before.heads or {}
        return sorted(name for name in {*heads, *self._then_heads} if heads.get(name) != self._then_heads.get(name))

    def _difference(self, name: str, heads: Mapping[str, Head]) -> Finding:
        own, before = self._then_heads.get(name), heads.get(name)
        if own is None:
            sequence = before.sequence if before else 0
            return Finding("log.changed", sequence, name, "nothing of it is left")
        if before is None:
            return Finding("log.changed", own.sequence, name, "nothing of it stood there")
        if own.sequence < before.sequence:
            said = f"it ends at {own.sequence}, and ended at {before.sequence}"
            return Finding("log.changed", before.sequence, name, said)
        said = "its messages are not those that the checkpoint was made of"
        return Finding("log.changed", own.sequence, name, said)

"""The audit of a log: one pass over all its messages, in which every check sees each of them once.

Nothing here asks the bus: a log that runs and an export of it are audited alike. What a fact says is not signed, so
an altered one is found where it no longer agrees with the others, and in any case by the hash of a checkpoint.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from libs.contracts.export import Entry
from libs.contracts.hashtree import Checkpoint
from libs.contracts.history import Unread
from services.gatekeeper.audit import envelopes, names
from services.gatekeeper.audit.causes import Causes
from services.gatekeeper.audit.digests import digests_of
from services.gatekeeper.audit.findings import Finding
from services.gatekeeper.audit.levels import Ladders
from services.gatekeeper.audit.order import Order
from services.gatekeeper.audit.runs import Runs
from services.gatekeeper.audit.sealing import Held
from services.gatekeeper.audit.slots import Slots


@dataclass(frozen=True)
class Audit:
    """What was found; `digests` are the artifacts that facts name, each with the first that does."""

    messages: int
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    checkpoint: Checkpoint
    grown: str | None = None
    digests: dict[str, tuple[int, str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "messages": self.messages,
            "findings": [finding.as_json() for finding in self.findings],
            "notes": [note.as_json() for note in self.notes],
            "root": self.checkpoint.root,
            "grown": self.grown,
            "digests": {digest: list(place) for digest, place in self.digests.items()},
        }


def audit(entries: Iterable[Entry], *, head: int | None = None, before: Checkpoint | None = None) -> Audit:
    """All that is wrong with a log, in the order of its messages.

    `head` is the last sequence that the log claims to have, `before` an earlier checkpoint of it.
    """
    auditor = _Auditor(head, before)
    found = [finding for entry in entries for finding in auditor.see(entry)]
    found += auditor.end()
    found.sort(key=lambda finding: finding.sequence)
    return Audit(
        messages=auditor.messages,
        findings=tuple(finding for finding in found if not finding.is_note),
        notes=tuple(finding for finding in found if finding.is_note),
        checkpoint=auditor.held.checkpoint(),
        grown=auditor.held.story(),
        digests=auditor.digests,
    )


class _Auditor:
    """Every check with what it has seen so far."""

    def __init__(self, head: int | None, before: Checkpoint | None) -> None:
        self.messages = 0
        self.held = Held(before)
        self.digests: dict[str, tuple[int, str]] = {}
        self._order = Order(head)
        self._causes = Causes()
        self._slots = Slots()
        self._ladders = Ladders()
        self._runs = Runs(self._ladders)

    def see(self, entry: Entry) -> Iterator[Finding]:
        self.messages += 1
        self.held.see(entry)
        yield from self._order.see(entry)
        yield from envelopes.see(entry)
        recorded = entry.read
        if isinstance(recorded, Unread):
            self._runs.see_unread(entry)
            return
        yield from names.see(entry, recorded)
        for check in (self._causes, self._slots, self._ladders, self._runs):
            yield from check.see(recorded)
        for digest in digests_of(recorded.fact):
            self.digests.setdefault(digest, (entry.sequence, entry.subject))

    def end(self) -> Iterator[Finding]:
        for check in (self._order, self._causes, self.held):
            yield from check.end()

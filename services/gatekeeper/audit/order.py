"""The order of the log: sequences without gaps from 1 on, and a time that never goes back."""

from collections.abc import Iterator

from libs.contracts.export import Entry
from services.gatekeeper.audit.findings import Finding


class Order:
    """What was seen last. `head` is the last sequence that the log claims to have, where that is known."""

    def __init__(self, head: int | None = None) -> None:
        self._head = head
        self._last = 0
        self._time = 0.0
        self._seen_late: set[int] = set()

    def see(self, entry: Entry) -> Iterator[Finding]:
        yield from self._place(entry)
        if entry.time < self._time:
            said = f"the store's time goes back by {self._time - entry.time:g} s from the message before"
            yield Finding("time.back", entry.sequence, entry.subject, said)
        self._last = max(self._last, entry.sequence)
        self._time = max(self._time, entry.time)

    def end(self) -> Iterator[Finding]:
        if self._head is not None and self._last < self._head:
            said = f"the log ends at {self._last}, and its head is said to be {self._head}"
            yield Finding("log.short", self._last + 1, "", said)

    def _place(self, entry: Entry) -> Iterator[Finding]:
        sequence, expected = entry.sequence, self._last + 1
        if sequence > expected:
            said = f"{_messages(expected, sequence - 1)} missing: dropped, or a damaged block"
            yield Finding("sequence.missing", expected, "", said)
        elif sequence == self._last or sequence in self._seen_late:
            said = f"sequence {sequence} is taken already"
            yield Finding("sequence.repeated", sequence, entry.subject, said)
        elif sequence < expected:
            self._seen_late.add(sequence)
            said = f"sequence {sequence} stands behind {self._last}"
            yield Finding("sequence.back", sequence, entry.subject, said)


def _messages(first: int, last: int) -> str:
    return f"message {first} is" if first == last else f"messages {first} to {last} are"

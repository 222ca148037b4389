"""An aggregate's history as it was read, and the fence behind which a fact about it is appended.

A fence names the subjects that a decision relied on and the last sequence seen there: the server
refuses the append when anything has been added since.
"""

from dataclasses import dataclass

from libs.contracts.facts import Fact, PhaseFact
from libs.contracts.subjects import slot_filter
from libs.contracts.wire import Recorded, Unreadable


@dataclass(frozen=True)
class Fence:
    """What an append relied on: the last sequence seen on these subjects, 0 for none."""

    subjects: str
    sequence: int


@dataclass(frozen=True)
class Unread:
    """A stored message that this build cannot read; it is never passed over in silence."""

    subject: str
    sequence: int
    reason: Unreadable


@dataclass(frozen=True)
class History:
    """All facts of one aggregate up to its head, in order, and what could not be read."""

    facts: tuple[Recorded, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def head(self) -> int:
        """Sequence of the aggregate's last message, 0 for none."""
        return max(
            max((r.sequence for r in self.facts), default=0),
            max((u.sequence for u in self.unread), default=0),
        )

    def last_on(self, subjects: str) -> int:
        """Sequence of the last message on these subjects, 0 for none."""
        return max((r.sequence for r in self.facts if matches(subjects, r.fact.subject)), default=0)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a pattern with the wildcards `*` and `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(given) >= len(wanted) and _same(wanted[:-1], given[: len(wanted) - 1])
    return len(given) == len(wanted) and _same(wanted, given)


def _same(wanted: list[str], given: list[str]) -> bool:
    return all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def fence_for(fact: Fact, history: History) -> Fence:
    """A worker's answer relies on its slot, any other worker's fact on its own subject."""
    subjects = slot_filter(fact) if isinstance(fact, PhaseFact) else fact.subject
    return Fence(subjects, history.last_on(subjects))

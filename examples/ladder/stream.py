"""The stream of issues: which kind comes next, by where the ladder stands."""

from typing import Final

from examples.ladder.tasks import Kind
from libs.contracts.readiness import Readiness
from libs.contracts.words import Level

KNOWN_BAD: Final = 64
"""Bad candidates that have to have been stopped before the last rung can be proven."""
ASSISTED: Final = (Kind.GOOD, Kind.WRONG, Kind.GOOD, Kind.GOOD, Kind.RULES, Kind.AMENDED, Kind.GOOD, Kind.UNSAFE)
SUPERVISED: Final = (
    *(Kind.GOOD,) * 7,
    Kind.WRONG,
    *(Kind.GOOD,) * 5,
    Kind.AMENDED,
    *(Kind.GOOD,) * 5,
    Kind.WEAKENS,
    *(Kind.GOOD,) * 7,
    Kind.BREAKS,
)
STEADY: Final = (*(Kind.GOOD,) * 11, Kind.AMENDED)
BAD: Final = (Kind.WRONG, Kind.BREAKS, Kind.UNSAFE, Kind.WEAKENS)
SUBTLE_MAX: Final = 6


class Stream:
    """Chooses the kind of the next issue, or none for now."""

    def __init__(self, *, is_full: bool) -> None:
        self.is_full = is_full

    def is_over(self, found: Readiness) -> bool:
        """Whether the climb has shown what it set out to show."""
        falls = {move.cause for move in found.moves}
        if not self.is_full:
            return found.level.granted.rank >= Level.AUTONOMOUS.rank
        return found.level.granted is Level.ASE and {"rollback", "drift"} <= falls

    def next_kind(self, found: Readiness, opened: int, in_flight: int, kinds: dict[int, Kind]) -> Kind | None:
        match found.level.granted:
            case Level.ASSISTED:
                return ASSISTED[opened % len(ASSISTED)]
            case Level.SUPERVISED:
                return SUPERVISED[opened % len(SUPERVISED)]
            case Level.AUTONOMOUS:
                needs_bad = self.is_full and _known_bad(found) + in_flight < KNOWN_BAD and not _falls(found)
                return BAD[opened % len(BAD)] if needs_bad else STEADY[opened % len(STEADY)]
            case Level.ASE:
                return self._at_the_top(found, in_flight, kinds)

    def _at_the_top(self, found: Readiness, in_flight: int, kinds: dict[int, Kind]) -> Kind | None:
        """First a change that hurts, alone; after the return changes that are wrong where no gate looks."""
        falls = _falls(found)
        if in_flight:
            return None
        if "rollback" not in falls:
            return None if Kind.HARMFUL in kinds.values() else Kind.HARMFUL
        if "drift" not in falls and list(kinds.values()).count(Kind.SUBTLE) < SUBTLE_MAX:
            return Kind.SUBTLE
        return None


def _falls(found: Readiness) -> set[str]:
    return {move.cause for move in found.moves if move.to.rank < move.origin.rank}


def _known_bad(found: Readiness) -> int:
    rate = found.rungs[-1].catch_rate
    return rate.bad + rate.seeded_bad if rate else 0

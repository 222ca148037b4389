"""Random checks of what machines decided, drawn after the verdict and blind to what a watch found.

Theory: where people see little, wrong passes that no watch notices would look right. A check that was drawn at
random sees them at the rate they occur, so that what checks found is scaled up by the rate at which they were drawn
and answered; what was reverted is known without a check and is counted once. A check that nobody answers says nothing.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

from libs.contracts.readiness import AuditAsked, Audited, AuditStanding
from services.gatekeeper.readiness.proof import accuracy_bound
from services.gatekeeper.readiness.scorecard import AUDITED, FAILS_DRAWN, PASSES_DRAWN, Result, Scorecard
from services.gatekeeper.readiness.scores import decimals, share

Kind = Literal["pass", "fail"]

RATES: Final[dict[Kind, Fraction]] = {"pass": Fraction(str(PASSES_DRAWN)), "fail": Fraction(str(FAILS_DRAWN))}
"""Share of the runs of each kind that is drawn: of changes that were let through, of runs that a gate ended."""

_ANSWERED: Final = ":audit"


def audits_asked(ordered: Sequence[Scorecard]) -> tuple[AuditAsked, ...]:
    """Checks that wait for somebody, newest first; none for what was reverted. A level may have changed on the way."""
    return tuple(
        AuditAsked(run=card.run, kind=card.drawn)
        for card in reversed(ordered)
        if card.drawn and card.level in (*AUDITED, None) and not card.is_reverted and _ANSWERED not in card.verdicts
    )


def audit_standing(ordered: Sequence[Scorecard]) -> Audited:
    sampled = [card for card in ordered if card.level in AUDITED]
    passed = [card for card in sampled if card.merged]
    stopped = [
        card for card in sampled if not card.merged and card.result == Result.FAILED and ":fail:" in card.verdicts
    ]
    return Audited(passes=_standing(passed, "pass"), fails=_standing(stopped, "fail"))


def _standing(cards: Sequence[Scorecard], kind: Kind) -> AuditStanding:
    drawn = [card for card in cards if card.drawn == kind]
    answered = [card for card in drawn if not card.is_reverted and _ANSWERED in card.verdicts]
    wrong = sum(f":{kind}:wrong:audit" in card.verdicts for card in answered)
    known_wrong = wrong + sum(card.is_reverted for card in drawn)
    right, reverted = len(answered) - wrong, sum(card.is_reverted for card in cards)
    unreverted = sum(not card.is_reverted for card in drawn)
    return AuditStanding(
        n=len(cards),
        drawn=len(drawn),
        right=right,
        wrong=wrong,
        reverted=reverted,
        bound=accuracy_bound({share(1, 0): right, share(0, 1): known_wrong}, 1),
        estimate=_estimate(len(cards), reverted, wrong, RATES[kind] * Fraction(len(answered), unreverted or 1)),
    )


def _estimate(n: int, reverted: int, wrong: int, rate: Fraction) -> float | None:
    """The share that was right, when the survivors were checked at this rate; `None` where none was."""
    if not n or not rate:
        return None
    return decimals(max(Fraction(), 1 - (reverted + wrong / rate) / n))

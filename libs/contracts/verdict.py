"""What a gate says of an attempt: outcome, codes, what was measured, the limit, and what would flip it."""

from libs.contracts.words import Frozen, Outcome

Measured = bool | int | float | str | None


class CriterionVerdict(Frozen):
    """One question asked of the evidence.

    `code` is stable for programs, `message` one sentence for a person, `flip` says what would
    change the outcome, `margin` is measured minus limit where both are numbers, and `reproduce` is the
    command by which it is measured by hand.
    """

    name: str
    outcome: Outcome
    code: str
    message: str
    measured: Measured = None
    limit: Measured = None
    margin: float | None = None
    flip: str = ""
    reproduce: str = ""


class Verdict(Frozen):
    """The worst outcome of all criteria; an empty list of criteria never passes."""

    outcome: Outcome
    criteria: tuple[CriterionVerdict, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Reason codes of the criteria that did not pass, worst first."""
        return tuple(criterion.code for criterion in self.unmet)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences of the criteria that did not pass, each once, worst first."""
        return tuple(dict.fromkeys(criterion.message for criterion in self.unmet))

    @property
    def unmet(self) -> tuple[CriterionVerdict, ...]:
        not_passed = [criterion for criterion in self.criteria if criterion.outcome is not Outcome.PASS]
        return tuple(sorted(not_passed, key=lambda criterion: -criterion.outcome.rank))


def worst(criteria: tuple[CriterionVerdict, ...]) -> Verdict:
    """Combine criteria: the worst outcome wins, and silence is `no_data`, never consent."""
    outcomes = [criterion.outcome for criterion in criteria]
    return Verdict(outcome=max(outcomes, key=lambda outcome: outcome.rank, default=Outcome.NO_DATA), criteria=criteria)

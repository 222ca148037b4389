"""How a measured value becomes a verdict: passed, failed, silent, or held against a limit."""

from typing import Final

from libs.contracts.criteria import CRITERIA, canonical_name
from libs.contracts.verdict import CriterionVerdict, Measured
from libs.contracts.words import Outcome
from libs.contracts.workflow import Criterion

NAMES_SHOWN: Final = 3


def passed(criterion: Criterion, message: str, measured: Measured) -> CriterionVerdict:
    return _said(criterion, Outcome.PASS, "ok", message, measured)


def failed(criterion: Criterion, code: str, message: str, measured: Measured) -> CriterionVerdict:
    return _said(criterion, Outcome.FAIL, code, message, measured)


def warned(criterion: Criterion, code: str, message: str, measured: Measured) -> CriterionVerdict:
    return _said(criterion, Outcome.WARN, code, message, measured)


def unclear(criterion: Criterion, code: str, message: str, measured: Measured) -> CriterionVerdict:
    """Neither yes nor no, and the measurement shows why."""
    return _said(criterion, Outcome.INCONCLUSIVE, code, message, measured)


def silent(criterion: Criterion, message: str, code: str = "no_data") -> CriterionVerdict:
    return _said(criterion, Outcome.NO_DATA, code, message, None)


def none_of(criterion: Criterion, found: tuple[str, ...], code: str, sentence: str, fine: str) -> CriterionVerdict:
    """Passes when nothing was found; otherwise names the first that were."""
    if found:
        return failed(criterion, code, f"{sentence}: {named(found)}", len(found))
    return passed(criterion, fine, 0)


def at_most(criterion: Criterion, measured: float, sentence: str, code: str) -> CriterionVerdict:
    """`sentence` has a place for the measured value."""
    limit = number(criterion.limit)
    warns = criterion.warn_at is not None and measured > criterion.warn_at
    message = f"{sentence.format(shown(measured))}, at most {shown(limit)} allowed"
    return _compared(criterion, measured, limit, message, "ok" if measured <= limit else code, warns=warns)


def at_least(
    criterion: Criterion, measured: float, sentence: str, code: str, base: float | None = None
) -> CriterionVerdict:
    """Like `at_most`, the other way round; a limit that goes by the base needs what was measured there."""
    if criterion.from_base is not None and base is None:
        return silent(criterion, f"the limit is {criterion.limit}, and the base was not measured", "no_baseline")
    limit = number(criterion.limit) if criterion.from_base is None else round((base or 0) + criterion.from_base, 6)
    warns = criterion.warn_at is not None and measured < criterion.warn_at
    said = "" if criterion.from_base is None else f" ({criterion.limit})"
    message = f"{sentence.format(shown(measured))}, at least {shown(limit)}{said} needed"
    return _compared(criterion, measured, limit, message, "ok" if measured >= limit else code, warns=warns)


def named(names: tuple[str, ...], count: int | None = None) -> str:
    """The first names, and how many more there are of `count`."""
    more = (len(names) if count is None else count) - min(len(names), NAMES_SHOWN)
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def number(limit: Measured) -> float:
    return limit if isinstance(limit, (int, float)) else float(str(limit))


def shown(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def _said(criterion: Criterion, outcome: Outcome, code: str, message: str, measured: Measured) -> CriterionVerdict:
    flip = "" if outcome is Outcome.PASS else _meaning(criterion)
    return CriterionVerdict(
        name=criterion.name,
        outcome=outcome,
        code=code,
        message=message,
        measured=measured,
        limit=criterion.limit,
        flip=flip,
    )


def _compared(
    criterion: Criterion, measured: float, limit: float, message: str, code: str, *, warns: bool
) -> CriterionVerdict:
    outcome = Outcome.FAIL if code != "ok" else Outcome.WARN if warns else Outcome.PASS
    return CriterionVerdict(
        name=criterion.name,
        outcome=outcome,
        code="near_limit" if outcome is Outcome.WARN else code,
        message=message,
        measured=measured,
        limit=limit,
        margin=round(measured - limit, 6),
        flip=f"a value of {shown(limit)}",
    )


def _meaning(criterion: Criterion) -> str:
    """What would have to hold, in the words of the table of criteria."""
    spec = CRITERIA.get(canonical_name(criterion.name))
    return spec.meaning.rstrip(".") if spec else f"{criterion.name} of {criterion.limit}"

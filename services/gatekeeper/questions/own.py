"""Criteria of a repository's own: values that its reports hold, in the form that name and limit say."""

from libs.contracts.criteria import Form, form_of
from libs.contracts.evidence import Evidence
from libs.contracts.verdict import CriterionVerdict
from libs.contracts.workflow import Criterion
from services.gatekeeper.questions.measuring import at_least, at_most, failed, passed, silent


def reported(evidence: Evidence, criterion: Criterion) -> CriterionVerdict:
    """The value that the repository reports under this name meets the limit."""
    name = criterion.name
    if name not in evidence.reported:
        return silent(criterion, f"no report holds a value of the name {name}")
    value = evidence.reported[name]
    form = form_of(name, criterion.limit)
    if form in (Form.MIN, Form.MAX):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return silent(criterion, f"{name} is reported as {value!r}, which is no number", "wrong_kind")
        ask = at_least if form is Form.MIN else at_most
        return ask(criterion, value, f"{name} is {{}}", "limit_missed")
    return _equal(criterion, value, form)


def _equal(criterion: Criterion, value: bool | float | str, form: Form) -> CriterionVerdict:  # noqa: FBT001 - a reported value
    """A flag asks whether something is there and true; anything else has to be the same, kind and value."""
    if form is Form.BOOL and not isinstance(criterion.limit, str):
        is_met = bool(value) is criterion.limit
    else:
        is_number = not isinstance(value, bool) and isinstance(value, int | float)
        wants_number = not isinstance(criterion.limit, bool | str)
        is_met = value == criterion.limit and is_number is wants_number
    said = f"{criterion.name} is {value!r}"
    if is_met:
        return passed(criterion, said, value)
    return failed(criterion, "value_differs", f"{said}, {criterion.limit!r} needed", value)

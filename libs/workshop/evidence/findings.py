"""Findings counted: each fault once, by weight and by the kind of tool that spoke.

Theory: a finding is of one kind: of a type checker, of security, or of a linter. Ruff repeats bandit's
rules under other names (S605 is B605); one fault must weigh once, so where both speak of the same line
bandit is heard, which grades. Security rules are not asked about tests, where asserts and sample
passwords belong. A linter's own level is kept in the weight: `error` is major, all less is less.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from libs.contracts.evidence import Finding, ReviewEvidence
from libs.contracts.words import Severity
from libs.workshop.evidence.paths import is_test_file

FINDINGS_KEPT: Final = 50
"""Findings named one by one in a fact; `findings.json` holds all of them."""
FILED_MAX: Final = 20_000
PRESENT_MAX: Final = 20_000

TYPE_CHECKERS: Final = frozenset(
    {
        *("mypy", "dmypy", "pyright", "basedpyright", "pyre", "pytype", "pyrefly", "ty"),
        *("tsc", "vue-tsc", "typescript", "flow", "sorbet", "srb"),
    }
)
SECURITY_TOOLS: Final = frozenset({"bandit"})

_ORDER: Final = tuple(Severity)
_LINT_ERRORS: Final = frozenset({Severity.BLOCKER, Severity.CRITICAL, Severity.MAJOR})
_RUFF_SECURITY: Final = re.compile(r"S(\d{3})")


def is_type_checker(tool: str) -> bool:
    """Whether a tool of this name checks types; a converter to SARIF may put `-sarif` behind it."""
    return tool.lower().partition(" ")[0].removesuffix("-sarif") in TYPE_CHECKERS


def fingerprint_of(tool: str, rule: str, file: str, code: str, message: str) -> str:
    """A hash of what stays when lines move."""
    parts = (tool, rule, file, " ".join(code.split()), message)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def counted_once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, heaviest first, marked by kind; what two tools said of one fault is there once."""
    graded = {(finding.file, finding.line, finding.rule) for finding in findings if finding.tool == "bandit"}
    once = [_marked(finding) for finding in dict.fromkeys(findings) if not _is_double(finding, graded)]
    return tuple(sorted(once, key=lambda finding: _ORDER.index(finding.severity)))


def counted(evidence: ReviewEvidence, findings: Sequence[Finding]) -> ReviewEvidence:
    """The evidence with exactly these findings in its counts; type errors only where a type checker was heard."""
    weights = Counter(finding.severity for finding in findings)
    typed = [finding for finding in findings if is_type_checker(finding.tool)]
    lint = [finding for finding in findings if not finding.is_security and not is_type_checker(finding.tool)]
    errors = sum(finding.severity in _LINT_ERRORS for finding in lint)
    return evidence.model_copy(
        update={
            **{severity.value: weights[severity] for severity in Severity},
            "findings": tuple(findings[:FINDINGS_KEPT]),
            "security": sum(finding.is_security for finding in findings),
            "lint_errors": errors,
            "lint_warnings": len(lint) - errors,
            "type_errors": len(typed) if typed or evidence.type_errors is not None else None,
        }
    )


def findings_file(
    findings: Sequence[Finding],
    *,
    tools: Iterable[str],
    present: Mapping[str, Collection[str]],
    removed: Iterable[str],
) -> bytes:
    """`findings.json`: every finding that counts, who was heard, and the fingerprints of all that was there.

    `left_out` counts what was too much to be filed. `present` names the looked at files with the findings
    on all their lines, and `removed` those that are gone: what a later look no longer shows is mended.
    `present` is left out where there is too much of it.
    """
    is_bounded = sum(map(len, present.values())) <= PRESENT_MAX
    told = {
        "findings": [finding.model_dump(mode="json") for finding in findings[:FILED_MAX]],
        "left_out": max(len(findings) - FILED_MAX, 0),
        "tools": list(tools),
        "present": {path: sorted(found) for path, found in sorted(present.items())} if is_bounded else None,
        "removed": sorted(removed),
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _marked(finding: Finding) -> Finding:
    is_of_security = finding.tool in SECURITY_TOOLS or _security_number(finding) is not None
    return finding.model_copy(update={"is_security": True}) if is_of_security else finding


def _security_number(finding: Finding) -> str | None:
    """The number that a rule of ruff shares with bandit's."""
    found = _RUFF_SECURITY.fullmatch(finding.rule) if finding.tool == "ruff" else None
    return found[1] if found else None


def _is_double(finding: Finding, graded: set[tuple[str, int, str]]) -> bool:
    """Whether ruff says what bandit says too, or asks of a test what only code for users owes."""
    if (number := _security_number(finding)) is None:
        return False
    return is_test_file(finding.file) or (finding.file, finding.line, f"B{number}") in graded

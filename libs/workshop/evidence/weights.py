"""How heavy a result of an analyser is: by its rule, its security score, bandit's grades, or its level."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from libs.contracts.words import Severity

BY_LEVEL = {"error": Severity.MAJOR, "warning": Severity.MINOR, "note": Severity.INFO, "none": Severity.INFO}

BY_SECURITY_SEVERITY = ((9.0, Severity.BLOCKER), (7.0, Severity.CRITICAL), (4.0, Severity.MAJOR), (0.0, Severity.MINOR))
"""The score that a rule declares, as CVSS counts it, and what it weighs from there on."""

BY_BANDIT = {
    ("HIGH", "HIGH"): Severity.CRITICAL,
    ("HIGH", "MEDIUM"): Severity.MAJOR,
    ("HIGH", "LOW"): Severity.MAJOR,
    ("MEDIUM", "HIGH"): Severity.MAJOR,
    ("MEDIUM", "MEDIUM"): Severity.MINOR,
    ("MEDIUM", "LOW"): Severity.MINOR,
}
"""By severity, then confidence; LOW severity is `info`, whatever the confidence."""

UNPARSABLE_RULES = frozenset({"invalid-syntax", "syntax-error", "E999", "E902", "E901"})
BROKEN_RULES = UNPARSABLE_RULES | {"F821", "F822", "F823", "F701", "F702", "F704", "F706", "F707"}
"""Rules whose finding means that the code cannot run: syntax, names that are nowhere defined."""

SECURITY_TOOLS = frozenset(
    {"bandit", "brakeman", "checkov", "flawfinder", "gitleaks", "gosec", "grype", "njsscan", "snyk", "tfsec", "trivy"}
    | {"zizmor"}
)
"""Analysers that look for nothing else."""
SECURITY_TAGS = ("security", "vulnerability", "cwe", "owasp")


@dataclass(frozen=True)
class Weights:
    """What findings weigh. A level alone makes no blocker unless `by_level` is made to say so."""

    by_level: Mapping[str, Severity] = field(default_factory=lambda: dict(BY_LEVEL))
    by_security_severity: tuple[tuple[float, Severity], ...] = BY_SECURITY_SEVERITY
    by_bandit: Mapping[tuple[str, str], Severity] = field(default_factory=lambda: dict(BY_BANDIT))
    broken_rules: frozenset[str] = BROKEN_RULES
    unparsable_rules: frozenset[str] = UNPARSABLE_RULES
    security_tools: frozenset[str] = SECURITY_TOOLS

    def severity(self, rule_id: str, score: float | None, graded: tuple[str, str] | None, level: str) -> Severity:
        """By what says most: the rule itself, the security score, bandit's severity and confidence, the level."""
        if rule_id in self.broken_rules:
            return Severity.CRITICAL
        if score is not None:
            return next((severity for least, severity in self.by_security_severity if score >= least), Severity.INFO)
        if graded is not None:
            return self.by_bandit.get(graded, Severity.INFO)
        return self.by_level.get(level, Severity.MINOR)

    def is_security(self, tool: str, rule_id: str, tags: Iterable[str]) -> bool:
        """Whether a finding is about security: by its tool, its rule's tags, or ruff's name for bandit's rules."""
        return tool in self.security_tools or _is_bandit_in_ruff(tool, rule_id) or any(map(_is_security_tag, tags))


WEIGHTS = Weights()


def score_of(properties: Mapping[str, Any]) -> float | None:
    """The declared `security-severity`; `None` for none, and for what is no score."""
    try:
        score = float(properties["security-severity"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and score >= 0 else None


def _is_bandit_in_ruff(tool: str, rule_id: str) -> bool:
    return tool == "ruff" and len(rule_id) == 4 and rule_id[0] == "S" and rule_id[1:].isdigit()


def _is_security_tag(tag: str) -> bool:
    """Tags as tools write them: `security`, `external/cwe/cwe-079`, `CWE-22: Path Traversal`, `OWASP-A01:2021`."""
    word = tag.lower().removeprefix("external/")
    return word.startswith(SECURITY_TAGS)

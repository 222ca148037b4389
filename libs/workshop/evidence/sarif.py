"""Reads SARIF 2.1.0 and weighs each result on the change.

Theory: a level alone says little, since some tools mark every finding as an error. What weighs
is, in this order: a rule that no working file can break (`BROKEN_RULES`), the `security-severity`
that a rule declares, bandit's severity and confidence, and only then the level. Suppressed
results are dropped. With changed lines given, only findings on them count, except that a file
which cannot be parsed counts wherever the parser noticed.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from libs.contracts.evidence import Finding
from libs.contracts.words import Severity
from libs.workshop.evidence.reading import Unreadable, in_checkout, json_tree, plain

BY_LEVEL = {"error": Severity.MAJOR, "warning": Severity.MINOR, "note": Severity.INFO, "none": Severity.INFO}

BY_SECURITY_SEVERITY = ((9.0, Severity.BLOCKER), (7.0, Severity.CRITICAL), (4.0, Severity.MAJOR), (0.0, Severity.MINOR))

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

ACTIVE_SUPPRESSIONS = ("accepted", None)
MESSAGE_LENGTH_MAX = 500

ChangedLines = Mapping[str, frozenset[int]]
LineText = Callable[[str, int], str]


@dataclass(frozen=True)
class _Run:
    """One run of a tool: its name, its rules by id and by place, and the bases of its URIs."""

    tool: str
    rules: Sequence[Mapping[str, Any]]
    bases: Mapping[str, str]

    def rule(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = _mapping(result.get("rule"))
        index = result.get("ruleIndex", reference.get("index"))
        if type(index) is int and 0 <= index < len(self.rules):
            return self.rules[index]
        wanted = result.get("ruleId", reference.get("id"))
        return next((rule for rule in self.rules if rule.get("id") == wanted), {})


def read_sarif(data: bytes, *, changed: ChangedLines | None = None, line_text: LineText | None = None) -> list[Finding]:
    """Findings in the report's order; `line_text` gives a line of the code to make fingerprints outlive moves.

    Raises: Unreadable for anything broken, of another version, or told by a tool that says it failed.
    """
    tree = json_tree(data, "sarif")
    runs = tree.get("runs") if isinstance(tree, dict) else None
    if not isinstance(runs, list):
        raise Unreadable("sarif_wrong_root", "The sarif report holds no list `runs`, so it is not SARIF.")
    if not str(tree.get("version", "")).startswith("2.1"):
        raise Unreadable("sarif_wrong_version", f"The sarif report is of version {_text(tree.get('version'), 20)!r}.")
    found = [finding for run in runs for finding in _findings(run, line_text)]
    return found if changed is None else [finding for finding in found if _is_on_change(finding, changed)]


def _is_on_change(finding: Finding, changed: ChangedLines) -> bool:
    lines = changed.get(finding.file)
    return lines is not None and (finding.line in lines or finding.rule in UNPARSABLE_RULES or not finding.line)


def _findings(tree: Any, line_text: LineText | None) -> list[Finding]:
    run = _run(tree)
    results = tree.get("results")
    if results is None:
        raise Unreadable(
            "sarif_no_results", f"The sarif report of {run.tool} holds no results, so the tool did not run."
        )
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise _malformed(run.tool)
    return [_finding(run, result, line_text) for result in results if not _is_suppressed(result)]


def _run(tree: Any) -> _Run:
    driver = _mapping(_mapping(_mapping(tree).get("tool")).get("driver"))
    name = _text(driver.get("name"), 60).lower()
    if not name:
        raise _malformed("an unnamed tool")
    for invocation in _list(tree.get("invocations")):
        if _mapping(invocation).get("executionSuccessful") is False:
            raise Unreadable("sarif_tool_failed", f"The sarif report says that {name} did not run to its end.")
    rules = [_mapping(rule) for rule in _list(driver.get("rules"))]
    bases = {
        str(key): _text(_mapping(base).get("uri")) for key, base in _mapping(tree.get("originalUriBaseIds")).items()
    }
    return _Run(name, rules, bases)


def _is_suppressed(result: Mapping[str, Any]) -> bool:
    """A result is suppressed if it holds suppressions and none of them was rejected or is under review."""
    suppressions = [_mapping(entry) for entry in _list(result.get("suppressions"))]
    is_gone = result.get("baselineState") == "absent" or result.get("kind", "fail") in ("pass", "notApplicable")
    is_waived = bool(suppressions) and all(entry.get("status") in ACTIVE_SUPPRESSIONS for entry in suppressions)
    return is_gone or is_waived


def _finding(run: _Run, result: Mapping[str, Any], line_text: LineText | None) -> Finding:
    rule = run.rule(result)
    rule_id = _text(result.get("ruleId") or rule.get("id"), 200) or "unknown"
    file, line = _place(run, result)
    message = _message(result, rule)
    code = line_text(file, line) if line_text else ""
    return Finding(
        tool=run.tool,
        rule=rule_id,
        severity=_severity(rule_id, result, rule),
        file=file,
        line=line,
        message=message,
        fingerprint=_fingerprint(result, (run.tool, rule_id, file, " ".join(code.split()), message)),
    )


def _severity(rule_id: str, result: Mapping[str, Any], rule: Mapping[str, Any]) -> Severity:
    if rule_id in BROKEN_RULES:
        return Severity.CRITICAL
    own, general = _mapping(result.get("properties")), _mapping(rule.get("properties"))
    score = _score(own.get("security-severity", general.get("security-severity")))
    if score is not None:
        return next(severity for least, severity in BY_SECURITY_SEVERITY if score >= least)
    if "issue_severity" in own:
        pair = (str(own["issue_severity"]).upper(), str(own.get("issue_confidence", "")).upper())
        return BY_BANDIT.get(pair, Severity.INFO)
    level = result.get("level") or _mapping(rule.get("defaultConfiguration")).get("level") or "warning"
    return BY_LEVEL.get(str(level), Severity.MINOR)


def _score(value: Any) -> float | None:
    try:
        score = float(value)
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) and score >= 0 else None


def _place(run: _Run, result: Mapping[str, Any]) -> tuple[str, int]:
    """File and first line of the first location; an empty file where the result names none."""
    for location in _list(result.get("locations"))[:1]:
        physical = _mapping(_mapping(location).get("physicalLocation"))
        line = _mapping(physical.get("region")).get("startLine")
        return _file(run, _mapping(physical.get("artifactLocation"))), line if type(line) is int and line > 0 else 0
    return "", 0


def _file(run: _Run, artifact: Mapping[str, Any]) -> str:
    path = _uri_path(_text(artifact.get("uri")))
    base = run.bases.get(str(artifact.get("uriBaseId")))
    return in_checkout(path, (_uri_path(base),)) if base else in_checkout(path)


def _uri_path(uri: str) -> str:
    """The path of a URI; of `file:///C:/x` it is `C:/x`."""
    try:
        path = unquote(urlsplit(uri).path) if re.match(r"file:", uri, re.IGNORECASE) else unquote(uri)
    except ValueError:
        path = uri
    return plain(re.sub(r"^/(?=[A-Za-z]:/)", "", path), 1000)


def _message(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """The result's text, with the rule's own message string and its arguments filled in if it only names one."""
    message = _mapping(result.get("message"))
    text = message.get("text") or message.get("markdown")
    if not text:
        strings = _mapping(rule.get("messageStrings"))
        template = str(_mapping(strings.get(str(message.get("id")))).get("text", ""))
        arguments = [str(argument) for argument in _list(message.get("arguments"))]
        text = re.sub(r"\{(\d{1,3})\}", lambda match: (arguments[int(match[1]) :] or [match[0]])[0], template)
    return _text(text, MESSAGE_LENGTH_MAX).strip()


def _fingerprint(result: Mapping[str, Any], parts: Sequence[str]) -> str:
    """The tool's own fingerprint if it gives one, else a hash of what stays when lines move."""
    own = _mapping(result.get("fingerprints")) or _mapping(result.get("partialFingerprints"))
    identity = [parts[0], parts[1], *(f"{key}={own[key]}" for key in sorted(own))] if own else list(parts)
    return hashlib.sha256("\0".join(identity).encode("utf-8", "replace")).hexdigest()[:32]


def _malformed(tool: str) -> Unreadable:
    return Unreadable("sarif_malformed", f"The sarif report of {tool} is not shaped like SARIF 2.1.0.")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any, length_max: int | None = None) -> str:
    return plain(value, length_max) if isinstance(value, str) else ""

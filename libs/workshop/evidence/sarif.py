"""Reads SARIF 2.1.0 and weighs each result on the change.

Theory: a level alone says little, since some tools mark every finding as an error. What weighs
is, in this order: a rule that no working file can break, the `security-severity` that a result or
its rule declares, bandit's severity and confidence, and only then the level; `Weights` says how
much. What a tool does not hold against the code is dropped: results that are suppressed, known
from the baseline, or of a kind other than `fail`. With changed lines given, only findings on them
count, except that a file which cannot be parsed counts wherever the parser noticed.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from libs.contracts.evidence import Finding
from libs.workshop.evidence.reading import Unreadable
from libs.workshop.evidence.sarif_run import Rule, Run, Told, lean, mapping, text
from libs.workshop.evidence.streams import JsonStream, without_collection
from libs.workshop.evidence.weights import WEIGHTS, Weights

MESSAGE_LENGTH_MAX = 500
RESULTS_MAX = 400_000

ChangedLines = Mapping[str, frozenset[int]]
LineText = Callable[[str, int], str]


class Weighed(NamedTuple):
    """A finding, and whether it is about security: by its tool, or by its rule's tags or score."""

    finding: Finding
    is_security: bool


def read_sarif(
    data: bytes,
    *,
    changed: ChangedLines | None = None,
    line_text: LineText | None = None,
    weights: Weights = WEIGHTS,
) -> list[Finding]:
    """Findings in the report's order; `line_text` gives a line of the code to make fingerprints outlive moves.

    Raises: Unreadable for anything broken, of another version, or told by a tool that says it failed.
    """
    return [one.finding for one in weighed_findings(data, changed=changed, line_text=line_text, weights=weights)]


@without_collection()
def weighed_findings(
    data: bytes,
    *,
    changed: ChangedLines | None = None,
    line_text: LineText | None = None,
    weights: Weights = WEIGHTS,
) -> list[Weighed]:
    """As `read_sarif`, and of each finding whether it is about security."""
    scale = _Scale(changed, line_text, weights)
    return [weighed for run, results in _runs(data) for told in results for weighed in scale.weigh(run, told)]


def _runs(data: bytes) -> list[tuple[Run, list[Told]]]:
    """Every run of the report with what its results tell; the rest of a result is let go at once."""
    stream = JsonStream(data, "sarif")
    version: Any = None
    runs: list[tuple[Run, list[Told]]] | None = None
    if stream.peek() != "{":
        stream.value()
        raise _wrong_root()
    for key in stream.members():
        if key == "runs" and stream.peek() == "[":
            runs = [_run(stream) for _ in stream.items()]
        elif key == "version":
            version = stream.value()
        else:
            stream.value()
    stream.end()
    if runs is None:
        raise _wrong_root()
    if not str(version or "").startswith("2.1"):
        raise Unreadable("sarif_wrong_version", f"The sarif report is of version {text(version, 20)!r}.")
    return runs


def _run(stream: JsonStream) -> tuple[Run, list[Told]]:
    if stream.peek() != "{":
        raise _malformed("an unnamed tool")
    parts: dict[str, Any] = {}
    results: list[Told] | None = None
    for key in stream.members():
        if key == "results" and stream.peek() == "[":
            results = list(_results(stream))
        elif key in Run.PARTS:
            parts[key] = stream.value()
        elif stream.value() is not None and key == "results":
            raise _malformed("a tool")
    run = Run.of(parts)
    if not run.tool:
        raise _malformed("an unnamed tool")
    if run.has_failed:
        raise Unreadable("sarif_tool_failed", f"The sarif report says that {run.tool} did not run to its end.")
    if results is None or "results" in mapping(parts.get("externalPropertyFileReferences")):
        raise Unreadable(
            "sarif_no_results", f"The sarif report of {run.tool} holds no results, so the tool did not run."
        )
    return run, results


def _results(stream: JsonStream) -> Iterator[Told]:
    for count, _ in enumerate(stream.items()):
        if count >= RESULTS_MAX:
            raise Unreadable("sarif_too_big", f"The sarif report holds more than {RESULTS_MAX} results.")
        told = lean(stream.value())
        if told is None:
            raise _malformed("a tool")
        if not told.is_waived:
            yield told


class _Scale(NamedTuple):
    """By what findings are chosen and weighed."""

    changed: ChangedLines | None
    line_text: LineText | None
    weights: Weights

    def weigh(self, run: Run, told: Told) -> Iterator[Weighed]:
        """The finding that a result is; none if it does not lie on the change."""
        rule = run.rule(told)
        rule_id = told.rule_id or rule.id or "unknown"
        file = run.file(told)
        if not self._is_on_change(rule_id, file, told.line):
            return
        message = _message(told, rule)
        code = self.line_text(file, told.line) if self.line_text else ""
        score = told.score if told.score is not None else rule.score
        finding = Finding(
            tool=run.tool,
            rule=rule_id,
            severity=self.weights.severity(rule_id, score, told.graded, run.level(told, rule)),
            file=file,
            line=told.line,
            message=message,
            fingerprint=_fingerprint(told, (run.tool, rule_id, file, " ".join(code.split()), message)),
        )
        is_security = score is not None or self.weights.is_security(run.tool, rule_id, (*told.tags, *rule.tags))
        yield Weighed(finding, is_security)

    def _is_on_change(self, rule_id: str, file: str, line: int) -> bool:
        if self.changed is None:
            return True
        lines = self.changed.get(file)
        return lines is not None and (line in lines or rule_id in self.weights.unparsable_rules or not line)


def _message(told: Told, rule: Rule) -> str:
    """The result's text, with the rule's own message string and its arguments filled in if it only names one."""
    message = told.message
    if told.message_id:
        template = text(mapping(rule.messages.get(told.message_id)).get("text")) or message
        message = re.sub(r"\{(\d{1,3})\}", lambda match: (told.arguments[int(match[1]) :] or (match[0],))[0], template)
    return text(message, MESSAGE_LENGTH_MAX).strip()


def _fingerprint(told: Told, parts: Sequence[str]) -> str:
    """The tool's own fingerprint if it gives one, else a hash of what stays when lines move."""
    identity = [parts[0], parts[1], *told.fingerprints] if told.fingerprints else parts
    return hashlib.sha256("\0".join(identity).encode("utf-8", "replace")).hexdigest()[:32]


def _wrong_root() -> Unreadable:
    return Unreadable("sarif_wrong_root", "The sarif report holds no list `runs`, so it is not SARIF.")


def _malformed(tool: str) -> Unreadable:
    return Unreadable("sarif_malformed", f"The sarif report of {tool} is not shaped like SARIF 2.1.0.")

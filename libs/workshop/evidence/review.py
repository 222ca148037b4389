"""Reviews the changed lines of a clean checkout with ruff and bandit in the sandbox, and the policy's own linters.

Theory: ruff repeats bandit's rules under other names (S605 is B605); one fault must weigh once,
so where both speak of the same line bandit is heard, which grades. Security rules are not asked
about tests, where asserts and sample passwords belong.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from libs.contracts.evidence import Finding, Problem, ReviewEvidence
from libs.contracts.words import Severity
from libs.workshop.evidence.endings import last_line
from libs.workshop.evidence.paths import is_python_file, is_test_file
from libs.workshop.evidence.reading import CHECKOUT, Unreadable, left_behind, plain, read_left_behind
from libs.workshop.evidence.sarif import ChangedLines, read_sarif
from libs.workshop.sandbox import Ended, Finished, Limits, Mount, Sandbox

NOTHING_TO_ANALYSE = "none: no Python file changed"
FINDINGS_KEPT = 50
FILES_AT_ONCE = 500
SOURCE_BYTES_MAX = 4 * 2**20

OUT = "/out"
RUFF = (
    *("python", "-I", "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero"),
    *("--select", "E9,F,B,S,PLE", "--output-format", "sarif", "--output-file"),
)
BANDIT = ("python", "-I", "-m", "bandit", "--quiet", "--exit-zero", "-f", "sarif", "-o")

_RUFF_SECURITY = re.compile(r"S(\d{3})")


@dataclass(frozen=True)
class Review:
    """What the analysers said of a change; `evidence` is `None` when none of them could be heard."""

    evidence: ReviewEvidence | None
    problems: tuple[Problem, ...]
    reports: dict[str, bytes] = field(default_factory=dict)


async def run_review(
    sandbox: Sandbox,
    checkout: Path,
    changed: ChangedLines,
    *,
    commands: Sequence[str] = (),
    reports: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Review:
    """Findings on the changed lines, given by path.

    `commands` are the policy's linters, run besides ruff and bandit; `reports` the globs, relative to
    the checkout, of the SARIF that they write.
    """
    hearing = _Hearing(sandbox, checkout, changed, limits)
    await hearing.hear("ruff", RUFF, hearing.python_files)
    await hearing.hear("bandit", BANDIT, [path for path in hearing.python_files if not is_test_file(path)])
    if commands:
        await hearing.hear_commands(commands, reports)
    return hearing.review()


@dataclass
class _Hearing:
    """One review: what is asked, and what was heard so far."""

    sandbox: Sandbox
    checkout: Path
    changed: ChangedLines
    limits: Limits
    tools: dict[str, None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    problems: dict[Problem, None] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    _sources: dict[str, list[str]] = field(default_factory=dict)

    @property
    def python_files(self) -> list[str]:
        """Changed Python files that the checkout holds; deleted ones and links are none of them."""
        present = left_behind(self.checkout, ("**/*.py",))
        return [path for path in sorted(self.changed) if is_python_file(path) and path in present]

    async def hear(self, tool: str, argv: Sequence[str], files: Sequence[str]) -> None:
        """Ask a tool about files, some at a time; it counts as heard only if every report was read."""
        problems_before = len(self.problems)
        for start in range(0, len(files), FILES_AT_ONCE):
            await self._ask(tool, argv, files[start : start + FILES_AT_ONCE])
        if files and len(self.problems) == problems_before:
            self.tools[tool] = None

    async def _ask(self, tool: str, argv: Sequence[str], files: Sequence[str]) -> None:
        """A leading `./` keeps a file named like an option from being taken for one."""
        name = f"{tool}-{len(self.reports) + 1}.sarif"
        with tempfile.TemporaryDirectory(prefix="rung-review-") as out:
            mounts = [Mount(self.checkout, CHECKOUT), Mount(Path(out), OUT, is_writable=True)]
            words = [*argv, f"{OUT}/{name}", *(f"./{path}" for path in files)]
            finished = await self.sandbox.run(words, mounts=mounts, limits=self.limits)
            if finished.is_ok:
                self._read(Path(out), name, tool)
            else:
                self._note("tool_crashed", _sentence(tool, finished))

    async def hear_commands(self, commands: Sequence[str], reports: Sequence[str]) -> None:
        """Run the policy's linters; their exit codes mostly say that they found something, so reports decide."""
        before = left_behind(self.checkout, reports)
        for command in commands:
            mounts = [Mount(self.checkout, CHECKOUT, is_writable=True)]
            finished = await self.sandbox.run(("/bin/sh", "-c", command), mounts=mounts, limits=self.limits)
            if finished.ended is not Ended.EXITED or finished.exit_code in (126, 127):
                self._note("command_not_found", _sentence(f"`{plain(command, 100)}`", finished))
            elif not reports and finished.exit_code != 0:
                self._note("lint_failed", _sentence(f"`{plain(command, 100)}`", finished))
        after = left_behind(self.checkout, reports)
        fresh = sorted(path for path, fingerprint in after.items() if before.get(path) != fingerprint)
        if reports and not fresh:
            self._note("report_missing", f"The lint commands wrote no report at {', '.join(reports)}.")
        for path in fresh:
            self._read(self.checkout, path, path)
        if not self.problems:
            self.tools.update(dict.fromkeys(plain(command, 60) for command in commands))

    def _read(self, root: Path, path: str, tool: str) -> None:
        try:
            data = read_left_behind(root, path) or b""
            self.reports[path] = data
            self.findings.extend(read_sarif(data, changed=self.changed, line_text=self._line_text))
        except Unreadable as broken:
            self._note(broken.code, f"{tool}: {broken.message}")

    def _line_text(self, path: str, line: int) -> str:
        if path not in self._sources:
            self._sources[path] = self._source_lines(path)
        lines = self._sources[path]
        return lines[line - 1] if 0 < line <= len(lines) else ""

    def _source_lines(self, path: str) -> list[str]:
        try:
            source = read_left_behind(self.checkout, path, SOURCE_BYTES_MAX)
        except Unreadable:
            return []
        return (source or b"").decode("utf-8", "replace").splitlines()

    def _note(self, code: str, message: str) -> None:
        self.problems[Problem(code=code, message=plain(message, 500))] = None

    def review(self) -> Review:
        if not self.tools and not self.problems:
            self.tools[NOTHING_TO_ANALYSE] = None
        evidence = review_evidence(tuple(self.tools), self.findings) if self.tools else None
        return Review(evidence, tuple(self.problems), self.reports)


def review_evidence(tools: Sequence[str], findings: Sequence[Finding]) -> ReviewEvidence:
    """Findings counted by weight, what two tools said of one fault counted once; the heaviest are named."""
    order = list(Severity)
    once = sorted(_without_doubles(findings), key=lambda finding: order.index(finding.severity))
    counts = Counter(finding.severity for finding in once)
    return ReviewEvidence(
        tools=tuple(tools),
        blocker=counts[Severity.BLOCKER],
        critical=counts[Severity.CRITICAL],
        major=counts[Severity.MAJOR],
        minor=counts[Severity.MINOR],
        info=counts[Severity.INFO],
        findings=tuple(once[:FINDINGS_KEPT]),
    )


def _without_doubles(findings: Sequence[Finding]) -> list[Finding]:
    graded = {(finding.file, finding.line, finding.rule) for finding in findings if finding.tool == "bandit"}
    return [finding for finding in dict.fromkeys(findings) if not _is_double(finding, graded)]


def _is_double(finding: Finding, graded: set[tuple[str, int, str]]) -> bool:
    """Whether ruff says what bandit says too, or asks of a test what only code for users owes."""
    security = _RUFF_SECURITY.fullmatch(finding.rule) if finding.tool == "ruff" else None
    if security is None:
        return False
    return is_test_file(finding.file) or (finding.file, finding.line, f"B{security[1]}") in graded


def _sentence(name: str, finished: Finished) -> str:
    ended = f"exit code {finished.exit_code}" if finished.ended is Ended.EXITED else f"limit: {finished.ended}"
    return f"{name} could not do its work ({ended}): {last_line(finished)}"

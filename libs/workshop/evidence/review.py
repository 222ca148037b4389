"""Reviews the changed lines of a clean checkout in the sandbox: by ruff and bandit, and the repository's own linters.

Theory: mypy is asked where the repository configures it and names no linters. The tools look at whole
files, so that what is there can be told from what is new; only findings on changed lines count. An exit
code of a linter mostly says that it found something, so reports decide.
"""

import importlib.util
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from libs.contracts.evidence import Finding, Problem, ReviewEvidence
from libs.workshop.evidence.endings import last_line
from libs.workshop.evidence.findings import counted, counted_once, is_type_checker
from libs.workshop.evidence.paths import is_python_file, is_test_file
from libs.workshop.evidence.reading import CHECKOUT, Unreadable, left_behind, plain, read_left_behind
from libs.workshop.evidence.sarif import ChangedLines, weighed_findings
from libs.workshop.evidence.streams import JsonStream
from libs.workshop.evidence.typing_checks import MYPY, checker_in, configures_mypy, printed_by, said_by_mypy
from libs.workshop.evidence.values import Value, read_values
from libs.workshop.evidence.weights import UNPARSABLE_RULES
from libs.workshop.sandbox import Ended, Finished, Limits, Mount, Sandbox

NOTHING_TO_ANALYSE = "none: no Python file changed"
FILES_AT_ONCE = 500
FILES_NAMED = 20
SOURCE_BYTES_MAX = 4 * 2**20

OUT = "/out"
SELECTED = "E9,F,B,S,PLE"
RUFF = (
    *("python", "-I", "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero"),
    *("--select", SELECTED, "--output-format", "sarif", "--output-file"),
)
BANDIT = ("python", "-I", "-m", "bandit", "--quiet", "--exit-zero", "-f", "sarif", "-o")
BY_HAND = {"ruff": f"ruff check --isolated --select {SELECTED}", "bandit": "bandit --quiet", "mypy": "mypy"}


class _Every(frozenset[int]):
    """All lines of a file."""

    def __contains__(self, line: object) -> bool:
        return True


EVERY: Final = _Every((0,))


@dataclass(frozen=True)
class Review:
    """What the analysers said of a change; `evidence` is `None` when none of them could be heard.

    `findings` are all that the evidence counts, `analysers` who was read by name, `present` the
    fingerprints of what was found on any line of the files that were looked at, `reported` the values
    that the policy's linters left.
    """

    evidence: ReviewEvidence | None
    problems: tuple[Problem, ...]
    reports: dict[str, bytes] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    analysers: tuple[str, ...] = ()
    present: dict[str, Counter[str]] = field(default_factory=dict)
    reported: dict[str, Value] = field(default_factory=dict)


async def run_review(
    sandbox: Sandbox,
    checkout: Path,
    changed: ChangedLines,
    *,
    commands: Sequence[str] = (),
    reports: Sequence[str] = (),
    values: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Review:
    """Findings on the changed lines, given by path; a file without any is looked at too.

    `commands` are the policy's linters, run besides ruff and bandit; `reports` the globs, relative to
    the checkout, of the SARIF that they write, `values` those of the repository's own measurements.
    """
    hearing = _Hearing(sandbox, checkout, changed, limits)
    await hearing.hear("ruff", RUFF, hearing.python_files)
    await hearing.hear("bandit", BANDIT, [path for path in hearing.python_files if not is_test_file(path)])
    if commands:
        await hearing.hear_commands(commands, reports, values)
    elif importlib.util.find_spec("mypy") and configures_mypy(checkout):
        await hearing.hear_mypy(hearing.python_files)
    return hearing.review()


@dataclass
class _Hearing:
    """One review: what is asked, and what was heard so far."""

    sandbox: Sandbox
    checkout: Path
    changed: ChangedLines
    limits: Limits
    tools: dict[str, None] = field(default_factory=dict)
    analysers: dict[str, None] = field(default_factory=dict)
    by_hand: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: dict[Problem, None] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    reported: dict[str, Value] = field(default_factory=dict)
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
            self._heard(tool, files)

    def _heard(self, tool: str, files: Sequence[str]) -> None:
        self.tools[tool] = None
        self.analysers[tool] = None
        named = shlex.join(files) if len(files) <= FILES_NAMED else "."
        self.by_hand.append(f"{BY_HAND[tool]} {named}")

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

    async def hear_mypy(self, files: Sequence[str]) -> None:
        """Ask mypy under the repository's configuration; where that does not work here, mypy was not heard."""
        if not files:
            return
        words = [*MYPY, *(f"./{path}" for path in files)]
        finished = await self.sandbox.run(words, mounts=[Mount(self.checkout, CHECKOUT)], limits=self.limits)
        found = said_by_mypy(finished.stdout, self._line_text) if finished.ended is Ended.EXITED else None
        if found is None or (finished.exit_code != 0 and not finished.stdout.strip()):
            return
        self.findings.extend(found)
        self._heard("mypy", files)

    async def hear_commands(self, commands: Sequence[str], reports: Sequence[str], values: Sequence[str]) -> None:
        """Run the policy's linters and read what they wrote."""
        before, measured = left_behind(self.checkout, reports), left_behind(self.checkout, values)
        ended = [(command, await self._run(command)) for command in commands]
        after = left_behind(self.checkout, reports)
        fresh = sorted(path for path, fingerprint in after.items() if before.get(path) != fingerprint)
        if reports and not fresh:
            self._note("report_missing", f"The lint commands wrote no report at {', '.join(reports)}.")
        for path in fresh:
            self._read(self.checkout, path, path)
        for command, finished in ended:
            self._judge(command, finished, has_reports=bool(reports))
        if not self.problems:
            self.tools.update(dict.fromkeys(plain(command, 60) for command in commands))
        self._read_values(values, measured)
        self.by_hand.extend(commands)

    async def _run(self, command: str) -> Finished:
        mounts = [Mount(self.checkout, CHECKOUT, is_writable=True)]
        return await self.sandbox.run(("/bin/sh", "-c", command), mounts=mounts, limits=self.limits)

    def _judge(self, command: str, finished: Finished, *, has_reports: bool) -> None:
        """What a command's end says; a type checker that wrote no SARIF is heard by what it printed."""
        name = f"`{plain(command, 100)}`"
        if finished.ended is not Ended.EXITED or finished.exit_code in (126, 127):
            self._note("command_not_found", _sentence(name, finished))
            return
        checker = checker_in(command)
        if checker is not None and not any(map(is_type_checker, self.analysers)):
            found = printed_by(checker, finished.stdout + b"\n" + finished.stderr, self._line_text)
            if found or finished.exit_code == 0:
                self.findings.extend(found)
                self.analysers[checker] = None
                return
        if (checker is not None or not has_reports) and finished.exit_code != 0 and not self._is_heard(checker):
            self._note("lint_failed", _sentence(name, finished))

    def _is_heard(self, checker: str | None) -> bool:
        return checker is not None and any(map(is_type_checker, self.analysers))

    def _read_values(self, globs: Sequence[str], before: Mapping[str, tuple[int, int, int]]) -> None:
        found = read_values(self.checkout, globs, before)
        self.problems.update(dict.fromkeys(found.problems))
        self.reports |= found.files
        self.reported |= found.reported

    def _read(self, root: Path, path: str, tool: str) -> None:
        try:
            data = read_left_behind(root, path) or b""
            self.reports[path] = data
            everywhere = dict.fromkeys(self.changed, EVERY)
            for finding, is_security in weighed_findings(data, changed=everywhere, line_text=self._line_text):
                self.findings.append(finding.model_copy(update={"is_security": is_security}))
            self.analysers.update(dict.fromkeys(tools_of(data)))
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
        once = counted_once(self.findings)
        counting = tuple(finding for finding in once if _is_on_change(finding, self.changed))
        heard = ReviewEvidence(
            tools=tuple(self.tools),
            type_errors=0 if any(map(is_type_checker, self.analysers)) else None,
            command=plain("; ".join(self.by_hand), 4000),
        )
        return Review(
            evidence=counted(heard, counting) if self.tools else None,
            problems=tuple(self.problems),
            reports=self.reports,
            findings=counting,
            analysers=tuple(self.analysers),
            present=self._present(once),
            reported=self.reported,
        )

    def _present(self, findings: Iterable[Finding]) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {path: Counter() for path in self.changed}
        for finding in findings:
            if finding.file in found:
                found[finding.file][finding.fingerprint] += 1
        return found


def new_since(base: Review, review: Review) -> Review:
    """The review without findings that the base has as often in the same file: moved code is nobody's fault."""
    if review.evidence is None:
        return review
    more = {path: marks - base.present.get(path, Counter()) for path, marks in review.present.items()}
    kept = tuple(finding for finding in review.findings if _take(more, finding))
    return replace(review, evidence=counted(review.evidence, kept), findings=kept)


def _take(more: Mapping[str, Counter[str]], finding: Finding) -> bool:
    """Whether there is still one more of this finding than the base had."""
    marks = more.get(finding.file, Counter())
    marks[finding.fingerprint] -= 1
    return marks[finding.fingerprint] >= 0


def tools_of(data: bytes) -> tuple[str, ...]:
    """The names of the tools that ran, by a SARIF report that can be read; also of those that found nothing."""
    stream = JsonStream(data, "sarif")
    names: dict[str, None] = {}
    for key in stream.members():
        if key == "runs":
            names.update((_driver(stream), None) for _ in stream.items())
        else:
            stream.value()
    return tuple(name for name in names if name)


def _driver(stream: JsonStream) -> str:
    name = ""
    for key in stream.members():
        if key == "results" and stream.peek() == "[":
            for _ in stream.items():
                stream.value()
        elif key == "tool":
            name = str(stream.value()["driver"]["name"])
        else:
            stream.value()
    return plain(name, 60).lower()


def _is_on_change(finding: Finding, changed: ChangedLines) -> bool:
    """A file that cannot be parsed counts wherever the parser noticed, and so does a finding without a line."""
    lines = changed.get(finding.file)
    return lines is not None and (finding.line in lines or finding.rule in UNPARSABLE_RULES or not finding.line)


def _sentence(name: str, finished: Finished) -> str:
    ended = f"exit code {finished.exit_code}" if finished.ended is Ended.EXITED else f"limit: {finished.ended}"
    return f"{name} could not do its work ({ended}): {last_line(finished)}"

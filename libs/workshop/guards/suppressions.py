"""Whether a change silences an analyser: more comments that do so than the file had before.

Only comments count, and what languages write as annotations; a string that speaks of them is none.
A line that only moved, within its file or from another, silences nothing new.
"""

import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from libs.contracts.evidence import Problem
from libs.workshop.guards.alteration import Alteration, problem

_IN_COMMENTS: Final = {
    "# noqa": re.compile(
        r"#\s*(?:ruff:\s*|flake8[:=]\s*)?noqa\b(?P<codes>:\s*[A-Z]+\d+(?:[\s,]+[A-Z]+\d+)*)?", re.IGNORECASE
    ),
    "# type: ignore": re.compile(r"#\s*type:\s*ignore\b(?P<codes>\[[^\]]*\])?"),
    "# mypy:": re.compile(r"#\s*mypy:\s*(?:ignore|disable|allow|no-)[\w-]*"),
    "# pyright:": re.compile(r"#\s*(?:pyright|ty|pyre)[:-]\s*(?:ignore|basic|off|fixme)\b(?P<codes>\[[^\]]*\])?"),
    "# pragma: no cover": re.compile(r"#\s*pragma:\s*no\s*(?:cover|branch|mutate)\b"),
    "# nosec": re.compile(r"#\s*nosec\b"),
    "# nosemgrep": re.compile(r"\bnosem(?:grep)?\b"),
    "pylint: disable": re.compile(r"pylint:\s*(?:disable|skip-file)(?:-\w+)*(?P<codes>=[\w\s,-]*)?"),
    "eslint-disable": re.compile(r"\beslint-disable(?:-next-line|-line)?\b"),
    "biome-ignore": re.compile(r"\b(?:biome|oxlint|deno-lint)-(?:ignore|disable)\b"),
    "tslint:disable": re.compile(r"\btslint:disable\b"),
    "@ts-ignore": re.compile(r"@ts-(?:ignore|nocheck|expect-error)\b"),
    "$FlowFixMe": re.compile(r"\$Flow(?:FixMe|Ignore)\b|@noflow\b"),
    "istanbul ignore": re.compile(r"\b(?:istanbul|c8|v8|node:coverage)\s+(?:ignore|disable)\b"),
    "//nolint": re.compile(r"//\s*nolint\b"),
    "#nosec": re.compile(r"//\s*#nosec\b"),
    "NOLINT": re.compile(r"\bNOLINT(?:NEXTLINE|BEGIN)?\b"),
    "cppcheck-suppress": re.compile(r"\bcppcheck-suppress\b"),
    "shellcheck disable": re.compile(r"\bshellcheck\s+disable\b"),
    "rubocop:disable": re.compile(r"\brubocop:(?:disable|todo)\b"),
    ":nocov:": re.compile(r":nocov:"),
    "phpcs:ignore": re.compile(r"\bphpcs:(?:ignore|disable)\w*|@phpstan-ignore[\w-]*|@psalm-suppress\b"),
    "LCOV_EXCL": re.compile(r"\b(?:LCOV|GCOVR?|GCOV)_EXCL\w*"),
    "@codeCoverageIgnore": re.compile(r"@codeCoverageIgnore\w*"),
    "NOSONAR": re.compile(r"\bNOSONAR\b"),
    "CHECKSTYLE:OFF": re.compile(r"\bCHECKSTYLE[:.\s]OFF\b"),
}
_IN_CODE: Final = {
    "@SuppressWarnings": re.compile(r"@(?:java\.lang\.)?Suppress(?:Warnings|FBWarnings|Lint)?\b\s*\("),
    "@Generated": re.compile(r"@(?:ExcludeFromCodeCoverage|ExcludeFromJacocoGeneratedReport)\b"),
    "#[allow(": re.compile(r"#!?\[\s*(?:cfg_attr\([^\]]{0,200})?(?:allow|expect)\s*\("),
    "#[coverage(off)]": re.compile(r"#!?\[\s*coverage\s*\(\s*off"),
    "#pragma warning disable": re.compile(
        r"#\s*pragma\s+(?:warning\s*\(?\s*disable|(?:GCC|clang)\s+diagnostic\s+ignored)"
    ),
    "[SuppressMessage]": re.compile(r"\[\s*(?:assembly\s*:\s*)?(?:SuppressMessage|ExcludeFromCodeCoverage)\b"),
}
_HASHED: Final = frozenset({".sh", ".bash", ".zsh", ".ksh", ".rb", ".pl", ".pm", ".yml", ".yaml", ".tf", ".r", ".jl"})
_SLASHED: Final = frozenset(
    {
        *(".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".java", ".kt", ".kts"),
        *(".scala", ".groovy", ".go", ".rs", ".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cs", ".swift"),
        *(".php", ".m", ".mm", ".dart", ".css", ".scss", ".less"),
    }
)
_STRING: Final = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`(?:\\.|[^`\\])*`'
_SLASHED_PARTS: Final = re.compile(
    rf"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z)|<!--.*?(?:-->|\Z))|(?P<string>{_STRING})", re.DOTALL
)
_HASHED_PARTS: Final = re.compile(
    r"(?P<comment>(?<![^\s;])#[^\n]*)|(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
)

Found = Counter[tuple[str, str]]
"""How often each kind stands on each line, by its text."""


def suppressions_added(alterations: Sequence[Alteration]) -> Iterator[Problem]:
    """Silencing comments beyond those that the file, or one whose lines moved here, had before."""
    pairs = [(one, _found(one, one.origin), _found(one, one.after or "")) for one in alterations]
    gone: Found = Counter()
    for _, before, after in pairs:
        gone += before - after
    places = [
        f"{kind} in {one.path}"
        for one, before, after in pairs
        for kind in _kinds(after)
        if _growth(kind, before, after, gone) > 0
    ]
    yield from problem("suppression_added", places, "The change silences an analyser where it did not before")


def _kinds(found: Found) -> list[str]:
    return list(dict.fromkeys(kind for kind, _ in found))


def _growth(kind: str, before: Found, after: Found, gone: Found) -> int:
    """By how much there are more of a kind, not counting lines that left another file."""
    more = sum(after[key] for key in after if key[0] == kind) - sum(before[key] for key in before if key[0] == kind)
    fresh = after - before
    elsewhere = gone - (before - after)
    moved = sum(min(count, elsewhere[key]) for key, count in fresh.items() if key[0] == kind)
    return more - moved


def _found(alteration: Alteration, text: str) -> Found:
    found: Found = Counter()
    for line, spoken, patterns in _pieces(alteration, text):
        for kind, pattern in patterns.items():
            for match in pattern.finditer(spoken):
                found[kind, line] += _weight(match)
    return found


def _weight(match: re.Match[str]) -> int:
    """A comment that names rules counts once for each."""
    codes = match.groupdict().get("codes") or ""
    return max(1, len(re.findall(r"[\w-]+", codes)))


def _pieces(alteration: Alteration, text: str) -> Iterator[tuple[str, str, dict[str, re.Pattern[str]]]]:
    """Comments, and code without its strings, each with the line it stands on and what is looked for there."""
    if alteration.is_python:
        yield from ((line.strip(), comment, _IN_COMMENTS) for line, comment in _python_comments(text))
    elif alteration.suffix in _SLASHED:
        yield from _parted(text, _SLASHED_PARTS)
    elif alteration.suffix in _HASHED or text.startswith("#!"):
        yield from _parted(text, _HASHED_PARTS)


def _python_comments(text: str) -> Iterator[tuple[str, str]]:
    """Up to where the text is no Python any more."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.line, token.string
    except (tokenize.TokenError, SyntaxError, ValueError):
        return


def _parted(text: str, parts: re.Pattern[str]) -> Iterator[tuple[str, str, dict[str, re.Pattern[str]]]]:
    place = 0
    code = []
    for match in parts.finditer(text):
        code.append(text[place : match.start()])
        place = match.end()
        if match["comment"]:
            start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
            yield text[start : end if end >= 0 else len(text)].strip(), match["comment"], _IN_COMMENTS
        else:
            code.append('""')
    code.append(text[place:])
    for line in "".join(code).splitlines():
        yield line.strip(), line, _IN_CODE

"""Reads what a plan, written as prose, names: files of the repository, files it lacks, and the issue's own words.

Theory: a sentence is full of things that look like paths (`Node.js`, `and/or`, `response.json`).
Whatever names a file that exists counts. What does not exist counts as missing only where the
plan clearly means a file: a path with a directory and a known suffix, or a source file's name
in code quotes or with a line number. A file that the plan says it will create is never missing.
"""

import html
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from libs.contracts.evidence import PlanEvidence
from libs.workshop.evidence.plan_words import OTHER_SUFFIXES, SOURCE_SUFFIXES, STOPWORDS
from libs.workshop.evidence.reading import in_checkout, plain

NAMES_MAX = 200
TERMS_MAX = 100
STEM_LENGTH_MIN = 5
ENDING_MAX = 4

_FENCED = re.compile(r"`([^`\n]+)`")
_LINKED = re.compile(r"\]\(([^)\s]{1,500})\)")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE)
_BARE = re.compile(r"[\w.@+~/\\-]+(?::\d+(?:[-:]\d+)?|#L\d+(?:-L?\d+)?)?")
_PLACE = re.compile(r"(?::\d+(?:[-:\u2013]\d+)*|#L\d+(?:-L?\d+)?|::\S+)$")
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*)$|^\s*\*\*(.+?)\*\*:?\s*$|^([A-Z][\w /]{3,40}):\s*$")
_CREATES = re.compile(
    r"\b(?:creat(?:e|es|ed|ing|ion)|new files?|files? to add|add(?:s|ed|ing)? (?:a )?new)\b", re.IGNORECASE
)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_WORD = re.compile(r"[^\W\d]\w*", re.UNICODE)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@dataclass(frozen=True)
class _Named:
    """Something in the text that may be a path, and how surely it means one."""

    path: str
    is_quoted: bool
    has_line: bool


def read_plan(
    text: str, *, files: Sequence[str], issue_title: str, issue_body: str, may_create: bool = True
) -> PlanEvidence:
    """What the plan names, against the `files` of the base and the words of the issue; raises nothing.

    `may_create` lets the plan announce files under a heading or in a line that speaks of creating them.
    """
    known = _Files(files)
    named: dict[str, None] = {}
    missing: dict[str, None] = {}
    announced: set[str] = set()
    for line, creates in _lines(text):
        for candidate in _candidates(line):
            found = known.find(candidate.path)
            named.update(dict.fromkeys(found))
            if not found and _means_a_file(candidate):
                (announced.add if creates and may_create else missing.setdefault)(candidate.path)
    return PlanEvidence(
        files_named=tuple(named)[:NAMES_MAX],
        files_missing=tuple(plain(path, 300) for path in missing if path not in announced)[:NAMES_MAX],
        issue_terms=_terms_in(_unescaped(text), issue_title, issue_body),
        is_empty=not _has_substance(text),
    )


class _Files:
    """The files of a repository, found by their path or by its end."""

    def __init__(self, files: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for file in files:
            self._by_name.setdefault(PurePosixPath(file).name, []).append(file)

    def find(self, path: str) -> list[str]:
        """The file of this path, else those whose path ends so."""
        alike = self._by_name.get(PurePosixPath(path).name, [])
        if path in alike:
            return [path]
        return [file for file in alike if file.endswith(f"/{path}")]


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line without URLs, and whether it speaks of files to create, itself or by the heading above it."""
    created_at: int | None = None
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading:
            depth = len(heading[1]) if heading[1] else 7
            if created_at is None or depth <= created_at:
                created_at = depth if _CREATES.search(line) else None
        yield _URL.sub(" ", line), created_at is not None or bool(_CREATES.search(line))


def _candidates(line: str) -> Iterator[_Named]:
    """What is quoted as a whole, what is linked, and every word of the rest and of quoted commands."""
    yield from (_named(match[1], is_quoted=True) for match in _FENCED.finditer(line))
    yield from (_named(match[1], is_quoted=False) for match in _LINKED.finditer(line))
    prose = _LINKED.sub("] ", _FENCED.sub(lambda match: match[1] if " " in match[1] else " ", line))
    for match in _BARE.finditer(prose):
        if prose[match.end() : match.end() + 1] != "(":
            yield _named(match[0], is_quoted=False)


def _named(text: str, *, is_quoted: bool) -> _Named:
    without_place = _PLACE.sub("", text.strip())
    has_line = without_place != text.strip()
    stripped = without_place if is_quoted else without_place.strip(".,;:!?'\"()[]{}").removeprefix("-")
    return _Named(in_checkout(stripped), is_quoted, has_line)


def _means_a_file(candidate: _Named) -> bool:
    """Whether a name that is not in the repository was surely meant as a file of it."""
    path = PurePosixPath(candidate.path)
    if re.search(r"[\s<>{}*$%|\"'()=,;]", candidate.path) or path.is_absolute() or not path.stem:
        return False
    suffix = path.suffix.lower()
    has_directory = len(path.parts) > 1
    if suffix in OTHER_SUFFIXES:
        return has_directory or candidate.has_line
    return suffix in SOURCE_SUFFIXES and (has_directory or candidate.is_quoted or candidate.has_line)


def _terms_in(plan: str, title: str, body: str) -> tuple[str, ...]:
    """The issue's significant words that the plan uses too, in the issue's order; its whole title counts as one."""
    spoken = _by_stem(_words(plan))
    issue = f"{title}\n{body}"
    wanted = _significant(issue, 4) or _significant(issue, 3)
    terms = tuple(term for term in wanted if _is_spoken(term, spoken))[:TERMS_MAX]
    return terms or ((plain(title, 300),) if _is_quoted(title, plan) else ())


def _is_quoted(title: str, plan: str) -> bool:
    """Whether the plan holds the title, whatever was done to its spaces and marks."""
    letters = "".join(filter(str.isalnum, title)).casefold()
    return bool(letters) and letters in "".join(filter(str.isalnum, plan)).casefold()


def _unescaped(markdown: str) -> str:
    """The text as it is read once Markdown's backslashes and HTML's entities are taken away."""
    return _ESCAPE.sub(r"\1", html.unescape(markdown))


def _by_stem(words: Iterable[str]) -> dict[str, set[str]]:
    stems: dict[str, set[str]] = {}
    for word in words:
        stems.setdefault(word[:STEM_LENGTH_MIN], set()).add(word)
    return stems


def _is_spoken(term: str, spoken: Mapping[str, Collection[str]]) -> bool:
    """A word counts in another ending too: `crashes` is said by `crash`."""
    return any(term == word or _is_inflection(term, word) for word in spoken.get(term[:STEM_LENGTH_MIN], ()))


def _is_inflection(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= STEM_LENGTH_MIN and longer.startswith(shorter) and len(longer) - len(shorter) <= ENDING_MAX


def _significant(issue: str, length_min: int) -> dict[str, None]:
    """Words that could tell this issue from another, each once, in order."""
    return dict.fromkeys(word for word in _words(issue) if _is_significant(word, length_min))


def _is_significant(word: str, length_min: int) -> bool:
    is_long = len(word) >= length_min or "_" in word or _UNSPACED.match(word) is not None
    return is_long and word not in STOPWORDS


def _words(text: str) -> Iterator[str]:
    """Words, identifiers whole and in their parts; scripts without spaces in pairs of letters."""
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        word = match[0]
        if _UNSPACED.search(word):
            yield from (word[place : place + 2] for place in range(max(len(word) - 1, 1)))
            continue
        yield word.casefold()
        parts = [part for part in _HUMP.split(word) if part]
        if len(parts) > 1:
            yield from (part.casefold() for part in parts)


def _has_substance(text: str) -> bool:
    """Whether anything but headings and comments is said."""
    said = re.sub(r"<!--.*?(?:-->|\Z)", " ", text, flags=re.DOTALL)
    return any(char.isalnum() for line in said.splitlines() if not line.lstrip().startswith("#") for char in line)

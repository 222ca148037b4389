"""What the issue's text and the failing tests' own words suggest: identifiers, constants, exception types."""

import re
from collections.abc import Iterable

from .site import Hints
from .suite import Test

STOP = frozenset(
    [
        "the",
        "and",
        "for",
        "not",
        "with",
        "that",
        "this",
        "from",
        "when",
        "should",
        "returns",
        "return",
        "have",
        "has",
        "are",
        "was",
        "but",
        "its",
        "into",
        "only",
        "then",
    ]
)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
STRING = re.compile(r"""'(?:[^'\\\n]|\\.){0,60}'|"(?:[^"\\\n]|\\.){0,60}\"""")
EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Warning)\b")
MISSING = re.compile(r"name '(\w+)' is not defined")
LITERALS_KEPT = 25


def gather(texts: Iterable[str], failing: Iterable[Test]) -> Hints:
    """Hints from the issue and guidance (`texts`) and from the failing tests."""
    told = "\n".join(texts)
    words = {word for word in re.findall(r"[A-Za-z_]\w{2,}", told) if word.lower() not in STOP}
    lines = [line for test in failing for line in telling(test.text)]
    shown = "\n".join(lines)
    literals = dict.fromkeys(
        [*NUMBER.findall(shown), *STRING.findall(shown), *words_of(shown), *NUMBER.findall(told), *STRING.findall(told)]
    )
    exceptions = dict.fromkeys([*EXCEPTION.findall(shown), *EXCEPTION.findall(told)])
    missing = dict.fromkeys(MISSING.findall(shown))
    kept = [item for item in literals if is_plain(item)]
    return Hints(frozenset(words), tuple(kept[:LITERALS_KEPT]), tuple(raisable(exceptions)), tuple(missing))


def telling(text: str) -> list[str]:
    """The lines of a failure that speak of values: its assertion, its exception, what was expected to be raised."""
    return [line for line in text.splitlines() if re.match(r"(E |>)|.*(assert|raises|Raises)", line)]


def words_of(text: str) -> list[str]:
    return re.findall(r"\b(?:None|True|False)\b|(?<==)\s*(?:\[\]|\{\})", text)


def is_plain(literal: str) -> bool:
    """Whether the text is a constant of Python that is worth trying: short, and no address or path."""
    return len(literal) < 60 and "0x" not in literal and not re.search(r"/\w+/|::|\.py", literal)


def raisable(names: Iterable[str]) -> list[str]:
    return [name for name in names if name != "AssertionError"][:6]

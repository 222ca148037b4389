"""Small changes to code in any language, by its text alone: an operator flipped, or a part of a change left out.

Nothing is parsed, so some results are no program any more; such a one is easily noticed. What stands in
strings and comments is left alone.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

SHELL: Final = frozenset({".sh", ".bash", ".zsh", ".ksh"})
LANGUAGES: Final = SHELL | frozenset(
    {
        *(".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".m", ".mm", ".cs", ".java", ".kt", ".kts", ".scala", ".groovy"),
        *(".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue", ".svelte", ".go", ".rs", ".swift", ".dart"),
        *(".rb", ".php", ".pl", ".pm", ".lua", ".r", ".jl", ".ex", ".exs", ".erl", ".hs", ".ml", ".fs", ".sql"),
    }
)
TEXT_MAX: Final = 256 * 1024

IGNORED: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`\n]*`|//.*|(?:^|(?<=\s))#.*|/\*.*?\*/|(?:^|(?<=\s))--\s.*'
)
COMMENT: Final = re.compile(r"\s*(//|/\*|\*|#|--|;|%|<!--)")
AROUND: Final = r"(?<=\s){}(?=\s)"
FLIPS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), other)
    for pattern, other in (
        (r"===", "!=="),
        (r"!==", "==="),
        (r"(?<![=!<>+\-*/%&|^~:])==(?!=)", "!="),
        (r"!=(?!=)", "=="),
        (r"&&", "||"),
        (r"\|\|", "&&"),
        (AROUND.format(r"\+"), "-"),
        (AROUND.format(r"-"), "+"),
        (AROUND.format(r"\*"), "/"),
        (AROUND.format(r"/"), "*"),
        (r"\btrue\b", "false"),
        (r"\bfalse\b", "true"),
        (r"(?<![\w.$&#-])\d+(?![\w.>&])", ""),
    )
)
ORDERS: Final = tuple(
    (re.compile(AROUND.format(one)), other) for one, other in (("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"))
)
"""In a shell these are places of output."""
SHELL_TESTS: Final = tuple(
    (re.compile(AROUND.format(one)), other)
    for one, other in (
        *(("-eq", "-ne"), ("-ne", "-eq"), ("-lt", "-le"), ("-le", "-lt"), ("-gt", "-ge"), ("-ge", "-gt")),
        *(("-z", "-n"), ("-n", "-z")),
    )
)


@dataclass(frozen=True)
class TextMutation:
    """A changed text of a file, where it differs, and how in words; `is_hunk` when a part of the change is left out."""

    text: str
    line: int
    change: str
    is_hunk: bool = False


def is_code(path: str, text: str) -> bool:
    """Whether a file is a program in a language that is changed by its text."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix in LANGUAGES or (not suffix and text.startswith("#!") and "python" not in text.partition("\n")[0])


def flips(path: str, text: str, lines: frozenset[int]) -> Iterator[TextMutation]:
    """Every operator, truth and whole number on one of the lines, changed alone."""
    is_shell = PurePosixPath(path).suffix.lower() in SHELL | {""}
    table = (*FLIPS, *(SHELL_TESTS if is_shell else ORDERS))
    rows = text.split("\n")
    for number in sorted(lines):
        row = rows[number - 1] if number <= len(rows) else ""
        if COMMENT.match(row):
            continue
        for said, other, start, end in _on_row(row, table):
            changed = [*rows[: number - 1], row[:start] + other + row[end:], *rows[number:]]
            yield TextMutation("\n".join(changed), number, f"`{said}` became `{other}`")


def _on_row(row: str, table: Sequence[tuple[re.Pattern[str], str]]) -> Iterator[tuple[str, str, int, int]]:
    bare = IGNORED.sub(lambda found: "_" * len(found[0]), row)
    taken: set[int] = set()
    for pattern, other in table:
        for found in pattern.finditer(bare):
            if not taken & set(range(*found.span())):
                taken |= set(range(*found.span()))
                yield found[0], other or str(int(found[0]) + 1), *found.span()


def left_out(before: str, after: str) -> Iterator[TextMutation]:
    """The changed text with one part of the change undone; none of parts that only lay out or comment."""
    old, new = before.split("\n"), after.split("\n")
    for tag, old_start, old_end, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal" or not _says_anything([*old[old_start:old_end], *new[start:end]]):
            continue
        text = "\n".join([*new[:start], *old[old_start:old_end], *new[end:]])
        place = f"line {start + 1}" if end - start < 2 else f"lines {start + 1} to {end}"
        yield TextMutation(text, start + 1, f"the change of {place} was left out", is_hunk=True)


def _says_anything(rows: Sequence[str]) -> bool:
    return any(row.strip() and not COMMENT.match(row) for row in rows)

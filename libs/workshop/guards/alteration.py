"""What a guard looks at: one file before and after a change, and its Python syntax where it has one."""

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from libs.contracts.evidence import Problem

RENAME_SHARE: Final = 0.5
RENAMES_COMPARED: Final = 60
FOLDED_DEPTH: Final = 20
NAMED: Final = 3

Constant = str | bytes | int | float | complex | tuple[object, ...]


@dataclass(frozen=True)
class Alteration:
    """A changed file; a text is `None` where the file is not there or is no text.

    `origin` is what the content grew out of: the file itself, or the file that was removed when this one,
    much like it, was added.
    """

    path: str
    before: str | None
    after: str | None
    moved_from: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix.lower()

    @property
    def is_python(self) -> bool:
        return self.suffix in {".py", ".pyi", ".pyw"}

    @property
    def origin(self) -> str:
        return self.before if self.before is not None else self.moved_from or ""

    @cached_property
    def trees(self) -> tuple[ast.Module, ast.Module]:
        """Syntax of the origin and of what came of it; empty where there is none or it is not to be read."""
        return parse(self.origin), parse(self.after or "")


def parse(text: str) -> ast.Module:
    """The syntax tree of Python source, or an empty one; never raises, whatever the text holds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def with_renames(alterations: Sequence[Alteration]) -> tuple[Alteration, ...]:
    """Added files know the removed one that they were made from."""
    removed = [one for one in alterations if one.after is None and one.before][:RENAMES_COMPARED]
    lines = {one.path: frozenset(one.origin.splitlines()) for one in removed}

    def source_of(added: Alteration) -> str | None:
        own = frozenset((added.after or "").splitlines())
        alike = [(len(own & lines[one.path]) / max(len(own), 1), one) for one in removed if one.suffix == added.suffix]
        share, best = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        return best.before if best is not None and share >= RENAME_SHARE else None

    return tuple(
        replace(one, moved_from=source_of(one)) if one.before is None and one.after is not None else one
        for one in alterations
    )


def problem(code: str, places: Sequence[str], said: str) -> Iterator[Problem]:
    """One problem that names the first places, or none where there are none."""
    places = tuple(dict.fromkeys(places))
    if places:
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        yield Problem(code=code, message=f"{said}: {'; '.join(places[:NAMED])}{more}.")


# -- constants ----------------------------------------------------------------


def constant(node: ast.AST | None, depth: int = 0) -> Constant | bool | None:
    """The value of an expression that is made of literals alone; `None` where it is not, or is `None` itself."""
    if depth > FOLDED_DEPTH:
        return None
    match node:
        case ast.Constant(value=value) if isinstance(value, str | bytes | bool | int | float | complex):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = constant(operand, depth + 1)
            return -number if isinstance(number, int | float) and not isinstance(number, bool) else None
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(constant(left, depth + 1), constant(right, depth + 1))
        case ast.JoinedStr(values=values):
            parts = [constant(_formatted(value), depth + 1) for value in values]
            return "".join(map(str, parts)) if None not in parts else None
        case ast.Tuple(elts=items) | ast.List(elts=items):
            held = [constant(item, depth + 1) for item in items]
            return tuple(held) if held and None not in held else None
        case _:
            return None


def _formatted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.FormattedValue) and node.format_spec is None else node


def _joined(left: Constant | None, right: Constant | None) -> Constant | None:
    match left, right:
        case str(), str():
            return left + right
        case bytes(), bytes():
            return left + right
        case ((int() | float()), (int() | float())):
            return left + right
        case _:
            return None


def shape(value: object) -> tuple[str, str]:
    """What tells constants apart: 1, 1.0 and True are three."""
    return type(value).__name__, repr(value)


def constants(nodes: Iterable[ast.AST]) -> Iterator[Constant | bool]:
    """Every constant in there, composed ones and their parts."""
    for node in nodes:
        value = constant(node)
        if value is not None:
            yield value


# -- names --------------------------------------------------------------------


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of attributes of a name, "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""

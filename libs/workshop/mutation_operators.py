"""Small changes to a piece of Python, each of which some test should notice.

Only what has an effect is changed: no annotations, docstrings, messages of errors and logs, nor what
runs under a type checker or as a script only. A change that leaves the syntax tree as it was
is none.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from libs.workshop.repair.operators import SPELLING, between
from libs.workshop.repair.source import Edit, Source, is_docstring

SWAPS: Final = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "in": "not in", "not in": "in", "is": "is not", "is not": "is", "and": "or", "or": "and",
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*",
    "&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<",
}  # fmt: skip
_TELLING: Final = re.compile(r"(^|\.)(log(ger|ging)?|_log(ger)?|warnings?|print|debug|echo|secho)(\.|$)", re.IGNORECASE)
_LIMIT: Final = 60

Changed = tuple[Edit, str]


@dataclass(frozen=True)
class Mutation:
    """One small change: where it is, and what it is in words."""

    source: Source
    edit: Edit
    line: int
    change: str

    @property
    def path(self) -> str:
        return self.source.path

    @property
    def text(self) -> str:
        return self.source.edited(self.edit)

    @property
    def syntax(self) -> str | None:
        """What the changed file says, however it is laid out; `None` if it is no Python."""
        return _syntax(self.text)

    @property
    def is_other(self) -> bool:
        """Whether it says anything else than the file did."""
        return self.syntax not in (None, _syntax(self.source.text))


def mutations(source: Source, lines: frozenset[int]) -> Iterator[Mutation]:
    """Every change of code that stands on one of the lines; the same change comes once."""
    seen: set[Edit] = set()
    for node in _effective(source.tree):
        line = getattr(node, "lineno", 0)
        for edit, change in _changes(source, node) if line in lines else ():
            if edit not in seen:
                seen.add(edit)
                yield Mutation(source, edit, line, change)


def _syntax(text: str) -> str | None:
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# -- what has an effect -------------------------------------------------------


def _effective(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in _parts(node):
        yield from _effective(child)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Children that have an effect when the program runs."""
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal():
            return
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            yield from (default for default in (*arguments.defaults, *arguments.kw_defaults) if default)
            yield from body
        case ast.ClassDef(body=body):
            yield from body
        case ast.AnnAssign(value=value):
            yield from [value] if value else []
        case ast.If(test=test) if _is_for_others(test):
            yield from node.orelse
        case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("__") and name.endswith("__"):
            return
        case ast.Raise(exc=ast.Call(args=args)):
            yield from (arg for arg in args if not isinstance(arg, ast.Constant | ast.JoinedStr | ast.BinOp))
        case ast.Assert(test=test):
            yield test
        case ast.Expr(value=ast.Call(func=func)) if _TELLING.search(ast.unparse(func)):
            return
        case ast.Expr() if is_docstring(node):
            return
        case _:
            yield from ast.iter_child_nodes(node)


def _is_for_others(test: ast.expr) -> bool:
    """Whether a condition holds only for a type checker, or where the file is run as a script."""
    said = ast.unparse(test)
    return "TYPE_CHECKING" in said or "__name__" in said


# -- changes ------------------------------------------------------------------


def _changes(source: Source, node: ast.AST) -> Iterator[Changed]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [left, *comparators]
            for first, operator, second in zip(operands, ops, comparators, strict=False):
                yield from _swapped(source, first, second, SPELLING[type(operator)])
        case ast.BinOp(left=left, op=operator, right=right) if not _is_text(left) and not _is_text(right):
            yield from _swapped(source, left, right, SPELLING[type(operator)])
        case ast.BoolOp(op=operator, values=values):
            for first, second in pairwise(values):
                yield from _swapped(source, first, second, SPELLING[type(operator)])
        case ast.AugAssign(target=target, op=operator, value=value) if not _is_text(value):
            yield from _augmented(source, target, value, SPELLING[type(operator)])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield _replaced(source, node, f"({source.segment(operand)})")
        case ast.Constant():
            yield from _constant(source, node)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield _replaced(source, value, "None")
        case _:
            yield from _of_flow(source, node)
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not _is_for_others(node.test):
        yield from _negated(source, node.test)
    if isinstance(node, ast.stmt):
        yield from _deleted(source, node)


def _swapped(source: Source, first: ast.expr, second: ast.expr, operator: str) -> Iterator[Changed]:
    span = between(source, first, second, operator)
    if span and (other := SWAPS.get(operator)):
        yield Edit(*span, other, 1.0, "operator"), f"`{operator}` became `{other}`"


def _augmented(source: Source, target: ast.expr, value: ast.expr, operator: str) -> Iterator[Changed]:
    span = between(source, target, value, f"{operator}=")
    if span and (other := SWAPS.get(operator)):
        yield Edit(*span, f"{other}=", 1.0, "operator"), f"`{operator}=` became `{other}=`"


def _negated(source: Source, test: ast.expr) -> Iterator[Changed]:
    is_swapped_already = isinstance(test, ast.Compare) and len(test.ops) == 1 and not _is_order(test.ops[0])
    if not is_swapped_already and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        said = source.segment(test)
        yield Edit(*source.span(test), f"(not ({said}))", 1.0, "negation"), f"condition `{_short(said)}` was negated"


def _is_order(operator: ast.cmpop) -> bool:
    return isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE)


def _constant(source: Source, node: ast.Constant) -> Iterator[Changed]:
    match node.value:
        case bool() as truth:
            yield _replaced(source, node, str(not truth))
        case int() as number:
            yield _replaced(source, node, f"({number + 1})" if number < 0 else str(number + 1))
        case float() as number:
            yield _replaced(source, node, repr(number + 1.0))
        case str() | bytes() as text if source.segment(node)[:1] in "'\"bBrRuU":
            other = "rung" if isinstance(text, str) else b"rung"
            yield _replaced(source, node, repr(other if not text else type(text)()))
        case _:
            return


def _of_flow(source: Source, node: ast.AST) -> Iterator[Changed]:
    match node:
        case ast.Break():
            yield _replaced(source, node, "continue")
        case ast.Continue():
            yield _replaced(source, node, "break")


def _deleted(source: Source, node: ast.stmt) -> Iterator[Changed]:
    """A statement done without, where the program is likely to go on."""
    match node:
        case ast.Expr(value=ast.Call(func=func)) if not _TELLING.search(ast.unparse(func)):
            pass
        case ast.Expr(value=ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            pass
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            pass
        case _:
            return
    said = source.segment(node)
    yield Edit(*source.span(node), "pass", 1.0, "deletion"), f"`{_short(said)}` was left out"


def _replaced(source: Source, node: ast.expr | ast.stmt, text: str) -> Changed:
    said = f"`{_short(source.segment(node))}` became `{_short(text)}`"
    return Edit(*source.span(node), text, 1.0, "constant"), said


def _is_text(node: ast.expr) -> bool:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return is_text or isinstance(node, ast.JoinedStr)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LIMIT else f"{line[: _LIMIT - 1]}…"

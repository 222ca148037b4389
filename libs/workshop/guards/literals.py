"""Whether code answers the tests' own inputs instead of the question: new comparisons with what only tests know.

Theory: a constant of a test in new code is the mark of an answer made to measure, and also of honest
code, whose tests speak of the same words. Told apart by how telling a constant is. Text that is no
mere word, and numbers that nobody would choose by chance, need only stand in the tests. Words and
small numbers, which code compares all the time, must lead to a constant answer that a test expects of
that very input, in tests that were there before the change. Limits (`<`, `>=`) and structure (lengths,
remainders, codes) say nothing.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from libs.workshop.guards.alteration import Alteration, constant, constants, dotted, parse, shape

Shape = tuple[str, str]
Value = object

_WORD: Final = re.compile(r"[\W_]{0,3}[A-Za-z_][\w.\-/+:@=]*\W{0,3}|[A-Z_ ]+|.{1,3}", re.DOTALL)
_LONG: Final = 1000
GROUP_MAX: Final = 300
"""Constants that stand together in larger numbers are a table, whose rows say nothing of each other."""
_STRUCTURAL: Final = re.compile(
    r"(^|_)(len|count|ord|status|code|errno|port|version|kind|mode|type|returncode|exit|signum|signal|level|ndim|"
    r"axis|dim|size|platform|name|method|scheme|encoding|suffix|ext|extension|state|key|attr|command|action|event|"
    r"tag|op|operator|char|ch|byte|token|__name__)s?$",
    re.IGNORECASE,
)
_ASKING: Final = frozenset(
    {"startswith", "endswith", "fullmatch", "match", "search", "eq", "__eq__", "get", "isclose", "casefold", "find"}
)


@dataclass(frozen=True)
class Suspect:
    """A comparison, new in its file: with which constant, which constants it leads to, and whether it returns them."""

    path: str
    line: int
    value: Value
    answers: frozenset[Shape]
    is_returned: bool
    is_structural: bool

    @property
    def said(self) -> str:
        return f"{self.value!r:.60} at {self.path}:{self.line}"


def suspects(alteration: Alteration) -> list[Suspect]:
    """New comparisons with constants that did not stand in the file before."""
    before, after = alteration.trees
    known = {shape(value) for value in constants(ast.walk(before))}
    found = _Finder(alteration.path, known)
    return [one for one in found.suspects(after) if shape(one.value) not in known and not _is_trivial(one.value)]


def special_cased(found: Iterable[Suspect], old_tests: Iterable[str], new_tests: Iterable[str]) -> list[str]:
    """Places of the suspects that answer the tests' inputs; `old_tests` stood before the change."""
    old, new = _beside(old_tests), _beside(new_tests)
    return [one.said for one in found if _is_made_to_measure(one, old, new)]


def _is_made_to_measure(one: Suspect, old: Mapping[Shape, set[Shape]], new: Mapping[Shape, set[Shape]]) -> bool:
    value = shape(one.value)
    if _is_telling(one.value):
        return value in old or value in new
    return one.is_returned and not one.is_structural and bool(old.get(value, set()) & one.answers)


def _is_trivial(value: Value) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_trivial, value))
    return value in (None, True, False, 0, 1, -1, "", b"") or (isinstance(value, str | bytes) and len(value) == 1)


def _is_telling(value: Value) -> bool:
    """Whether a constant says by itself where it comes from."""
    match value:
        case str() | bytes():
            text = value if isinstance(value, str) else value.decode("latin-1")
            return any(char.isalnum() for char in text) and not _WORD.fullmatch(text)
        case float():
            return not value.is_integer() and value not in (0.5, -0.5)
        case int():
            return abs(value) > _LONG and not _is_round(abs(value))
        case tuple():
            return len(value) > 1 and sum(not _is_trivial(part) for part in value) > 1
        case _:
            return True


def _is_round(number: int) -> bool:
    return (number & (number - 1)) == 0 or ((number + 1) & number) == 0 or str(number).rstrip("0") in list("123456789")


# -- comparisons --------------------------------------------------------------


class _Finder:
    """Looks for comparisons with constants, and for what follows where they hold."""

    def __init__(self, path: str, known: set[Shape]) -> None:
        self.path = path
        self.known = known

    def suspects(self, tree: ast.Module) -> Iterator[Suspect]:
        for node in ast.walk(tree):
            match node:
                case ast.If(test=test, body=body):
                    yield from self._asked(test, body)
                case ast.IfExp(test=test, body=body, orelse=orelse):
                    yield from self._asked(test, [ast.Return(body), ast.Return(orelse)])
                case ast.Match(cases=cases):
                    for case in cases:
                        yield from self._matched(case)
                case ast.Return(value=ast.Compare() as test) | ast.Assert(test=test):
                    yield from self._asked(test, [])
                case ast.Subscript(slice=ast.Compare() as test):
                    yield from self._asked(test, [])
                case ast.comprehension(ifs=tests):
                    for test in tests:
                        yield from self._asked(test, [])
                case ast.Dict(keys=keys, values=values):
                    yield from self._table(keys, values)

    def _asked(self, test: ast.expr, body: Iterable[ast.stmt]) -> Iterator[Suspect]:
        answers, is_returned = _answers(body)
        for node in ast.walk(test):
            for other, value, line in _compared(node):
                structural = _STRUCTURAL.search(_called(other)) is not None
                yield Suspect(self.path, line, value, answers - self.known, is_returned, structural)

    def _matched(self, case: ast.match_case) -> Iterator[Suspect]:
        answers, is_returned = _answers(case.body)
        for node in ast.walk(case.pattern):
            if isinstance(node, ast.MatchValue) and (value := constant(node.value)) is not None:
                yield Suspect(self.path, node.lineno, value, answers - self.known, is_returned, is_structural=False)

    def _table(self, keys: list[ast.expr | None], values: list[ast.expr]) -> Iterator[Suspect]:
        """A table none of whose keys was there before: one that grew by an entry is honest work."""
        pairs = [(constant(key), constant(value), key) for key, value in zip(keys, values, strict=True)]
        if not pairs or any(key is not None and shape(key) in self.known for key, _, _ in pairs):
            return
        for key, value, node in pairs:
            if key is not None and value is not None and node is not None and _is_telling(key):
                answers = frozenset({shape(value)})
                yield Suspect(self.path, node.lineno, key, answers, is_returned=True, is_structural=False)


def _compared(node: ast.AST) -> Iterator[tuple[ast.expr, Value, int]]:
    """What is compared for equality or membership, and with which constants."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [left, *comparators]
            for first, operator, second in zip(operands, ops, comparators, strict=False):
                if isinstance(operator, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
                    yield from _sides(first, second)
                elif isinstance(operator, ast.In | ast.NotIn):
                    yield from ((first, value, second.lineno) for value in _members(second))
        case ast.Call(func=func, args=args):
            name = dotted(func).rpartition(".")[2] or getattr(func, "attr", "")
            if name in _ASKING:
                yield from ((func, value, node.lineno) for arg in args for value in _members(arg))


def _sides(first: ast.expr, second: ast.expr) -> Iterator[tuple[ast.expr, Value, int]]:
    for other, node in ((first, second), (second, first)):
        value = constant(node)
        if value is not None and constant(other) is None:
            yield other, value, node.lineno


def _members(node: ast.expr) -> Iterator[Value]:
    """The constants in a display; text is one constant."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        yield from (value for item in node.elts if (value := constant(item)) is not None)
    elif (value := constant(node)) is not None:
        yield value


def _called(node: ast.expr) -> str:
    """The last name of what is compared: `len` of `len(x)`, `status` of `answer.status`, `%` of a remainder."""
    match node:
        case ast.Call(func=func):
            return _called(func)
        case ast.Attribute(attr=attr):
            return attr
        case ast.Name(id=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value):
            return _called(value)
        case ast.BinOp(op=ast.Mod() | ast.BitAnd()):
            return "count"
        case _:
            return ""


def _answers(body: Iterable[ast.stmt]) -> tuple[frozenset[Shape], bool]:
    """The constants that a branch gives, and whether it gives them as a result."""
    found: set[Shape] = set()
    is_returned = False
    for statement in body:
        match statement:
            case ast.Return(value=ast.expr() as value):
                is_returned = is_returned or constant(value) is not None
                given = constant(value)
            case ast.Assign(value=value) | ast.Expr(value=ast.Yield(value=ast.expr() as value)):
                given = constant(value)
            case _:
                continue
        if given is not None and not isinstance(given, bool):
            found.add(shape(given))
    return frozenset(found), is_returned


# -- tests --------------------------------------------------------------------


def _beside(texts: Iterable[str]) -> Mapping[Shape, set[Shape]]:
    """For each constant of the tests those that stand together with it, itself among them."""
    found: dict[Shape, set[Shape]] = {}
    for group in _groups(texts):
        for value in group if len(group) <= GROUP_MAX else ():
            found.setdefault(value, set()).update(group)
        for value in group if len(group) > GROUP_MAX else ():
            found.setdefault(value, {value})
    return found


def _groups(texts: Iterable[str]) -> Iterator[frozenset[Shape]]:
    """Constants that stand together: those of one test function, of one row of a table, of one statement."""
    for text in texts:
        yield from _grouped(parse(text).body)


def _grouped(body: Iterable[ast.stmt]) -> Iterator[frozenset[Shape]]:
    for statement in body:
        match statement:
            case ast.ClassDef(body=inner):
                yield from _grouped(inner)
            case ast.Assign(value=ast.Tuple(elts=rows) | ast.List(elts=rows)):
                yield from (_constants_of(row) for row in rows)
            case _:
                yield _constants_of(statement)


def _constants_of(node: ast.AST) -> frozenset[Shape]:
    return frozenset(shape(value) for value in constants(ast.walk(node)) if not _is_docstring_like(value))


def _is_docstring_like(value: Value) -> bool:
    return isinstance(value, str) and len(value) > _LONG


def texts_with(found: Iterable[Suspect], tests: Mapping[str, str]) -> Mapping[str, str]:
    """The tests that may hold one of the constants, so that only these need to be read closely."""
    words = {word for one in found for word in _spellings(one.value)}
    return {path: text for path, text in tests.items() if not words or any(word in text for word in words)}


def _spellings(value: Value) -> Iterator[str]:
    """How a constant may be spelt at least in part; "" if that is anybody's guess."""
    match value:
        case str():
            yield max(re.findall(r"[A-Za-z0-9]+", value), key=len, default="")
        case _:
            yield ""

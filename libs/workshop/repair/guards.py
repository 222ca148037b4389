"""Edits that add something forgotten: a guard, a return, a default, an exception type, an import, an attribute."""

import ast
import re
import sys
from collections.abc import Iterator

from .moves import closed, deeper, movable
from .site import Function, Site, all_parameters
from .source import Edit, is_docstring

EXCEPTIONS = ("ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "ZeroDivisionError", "LookupError")
HOMES = {
    "collections": "defaultdict Counter deque OrderedDict namedtuple",
    "decimal": "Decimal",
    "pathlib": "Path",
    "datetime": "datetime timedelta date timezone",
    "dataclasses": "dataclass field",
    "functools": "wraps lru_cache partial reduce",
    "itertools": "chain",
    "enum": "Enum",
    "fractions": "Fraction",
    "copy": "deepcopy",
    "contextlib": "suppress contextmanager",
    "typing": "Optional Any",
    "collections.abc": "Iterable Mapping",
}
WELL_KNOWN = {name: module for module, names in HOMES.items() for name in names.split()}


def subjects(site: Site) -> list[str]:
    """Names that a guard may ask about: those the statement reads first, then parameters."""
    read = [node.id for node in ast.walk(site.statement) if isinstance(node, ast.Name)]
    members = [ast.unparse(node) for node in ast.walk(site.statement) if isinstance(node, ast.Attribute)]
    known = {*site.locals, *site.members}
    wanted = dict.fromkeys([*read, *members, *all_parameters(site.function)] if site.function else [])
    return [name for name in wanted if name in known and name not in {"self", "cls"}][:5]


def guards(site: Site) -> Iterator[Edit]:
    """`if not x: return C` before a statement; C from the failing assertion, the issue and the usual empty values."""
    if not movable(site) or site.function is None or isinstance(site.statement, ast.Pass):
        return
    start, indent = site.source.line_span(site.statement)[0], site.source.indent(site.statement)
    line, inner = site.source.newline, deeper(site, indent)
    for name in subjects(site):
        for action, prior in actions(site, name):
            for condition in conditions(name, action):
                yield Edit(start, start, f"{indent}if {condition}:{line}{inner}{action}{line}", prior, "guard")


def conditions(name: str, action: str) -> tuple[str, ...]:
    if action.startswith("raise"):
        return (
            f"not {name}",
            f"{name} is None",
            f"{name} < 0",
            f"{name} <= 0",
            f"not isinstance({name}, str)",
            f"{name} == 0",
        )
    return (f"not {name}", f"{name} is None")


def actions(site: Site, name: str) -> Iterator[tuple[str, float]]:
    values = dict.fromkeys(["None", *site.hints.literals[:6], "0", "[]", "''", "{}", "False", "True", name])
    for value in values:
        yield f"return {value}", 0.4 if value in site.hints.literals else 0.3
    if site.loop:
        yield "continue", 0.45
        yield "break", 0.3
    for exception in site.hints.exceptions:
        yield f"raise {exception}", 0.35


def defaults(site: Site) -> Iterator[Edit]:
    """`def f(x=[])` as `def f(x=None)` with the list made at each call."""
    function = site.statement
    if not isinstance(function, Function):
        return
    pairs = zip(reversed(function.args.args), reversed(function.args.defaults), strict=False)
    first = next((item for item in function.body if not is_docstring(item)), None)
    if first is None or first.lineno == function.lineno:
        return
    for argument, default in pairs:
        text = site.source.segment(default)
        if isinstance(default, ast.List | ast.Dict | ast.Set) or re.match(r"(list|dict|set)\(", text):
            yield fresh_default(site, argument.arg, default, first)


def fresh_default(site: Site, name: str, default: ast.expr, first: ast.stmt) -> Edit:
    start, end = site.source.span(default)
    place, indent = site.source.line_span(first)[0], site.source.indent(first)
    line = site.source.newline
    made = f"{indent}if {name} is None:{line}{deeper(site, indent)}{name} = {site.source.text[start:end]}{line}"
    return Edit(start, place, "None" + site.source.text[end:place] + made, 0.9, "default")


def endings(site: Site) -> Iterator[Edit]:
    """A `return` put at the end of a function, or a jump after a statement of a loop."""
    if site.function is None or site.after is not None or not movable(site):
        return
    end, indent = site.source.line_span(site.statement)[1], site.source.indent(site.statement)
    line = site.source.newline
    if isinstance(site.statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return
    choices = [f"return {name}" for name in (*site.locals, *site.members[:6], "True", "False")]
    choices += ["break", "continue"] if site.loop else []
    for text in choices:
        yield Edit(end, end, f"{closed(site, end)}{indent}{text}{line}", 0.4, "ending")
    if site.block is site.function.body:
        return
    last = site.function.body[-1]
    place, margin = site.source.line_span(last)[1], site.source.indent(last)
    for name in site.locals[:8]:
        yield Edit(place, place, f"{closed(site, place)}{margin}return {name}{line}", 0.3, "ending")


def handlers(site: Site) -> Iterator[Edit]:
    """What is caught, and what is raised."""
    wanted = dict.fromkeys((*site.hints.exceptions, *EXCEPTIONS))
    if isinstance(site.statement, ast.Try):
        for handler in site.statement.handlers:
            if handler.type is not None:
                yield from caught(site, handler.type, list(wanted))
    if isinstance(site.statement, ast.Raise) and isinstance(site.statement.exc, ast.Call):
        function = site.statement.exc.func
        for name in wanted:
            yield Edit(*site.source.span(function), name, 0.6 if name in site.hints.exceptions else 0.3, "exception")
    if isinstance(site.statement, ast.Raise) and isinstance(site.statement.exc, ast.Name):
        for name in wanted:
            yield Edit(*site.source.span(site.statement.exc), name, 0.4, "exception")


def caught(site: Site, node: ast.expr, wanted: list[str]) -> Iterator[Edit]:
    span, text = site.source.span(node), site.source.segment(node)
    listed = text.strip("()")
    for name in wanted:
        hinted = name in site.hints.exceptions
        if name not in listed:
            yield Edit(*span, f"({listed}, {name})", 0.6 if hinted else 0.35, "exception")
            yield Edit(*span, name, 0.55 if hinted else 0.3, "exception")
    yield Edit(*span, "Exception", 0.25, "exception")


def imports(site: Site) -> Iterator[Edit]:
    """An import of a name that a failing test found missing."""
    body = site.source.tree.body
    if site.function is not None or site.owner is not None or site.statement is not body[0]:
        return
    place = next((item for item in body if not is_docstring(item) and not is_future(item)), None)
    if place is None:
        return
    start, line = site.source.line_span(place)[0], site.source.newline
    for name in site.hints.missing_names:
        if name in WELL_KNOWN:
            yield Edit(start, start, f"from {WELL_KNOWN[name]} import {name}{line}", 1.0, "import")
        if name in sys.stdlib_module_names:
            yield Edit(start, start, f"import {name}{line}", 1.0, "import")


def is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def decorators(site: Site) -> Iterator[Edit]:
    """A method's decorator that was forgotten, or that should not be there."""
    function = site.statement
    if not isinstance(function, Function) or site.owner is None:
        return
    start = site.source.line_span(function)[0]
    present = {ast.unparse(item) for item in function.decorator_list}
    for name in sorted({"property", "staticmethod", "classmethod"} - present):
        yield Edit(start, start, f"{site.source.indent(function)}@{name}{site.source.newline}", 0.4, "decorator")
    for item in function.decorator_list:
        line = item.lineno - 1
        if item.end_lineno == item.lineno:
            yield Edit(site.source.starts[line], site.source.starts[line + 1], "", 0.35, "decorator")


def members(site: Site) -> Iterator[Edit]:
    """`self.x = x` for a parameter of `__init__` that was never kept, or a super call that was forgotten."""
    function = site.function
    if function is None or function.name != "__init__" or not movable(site):
        return
    end, indent = site.source.line_span(site.statement)[1], site.source.indent(site.statement)
    line = f"{closed(site, end)}{indent}{{}}{site.source.newline}"
    for name in all_parameters(function)[1:]:
        for value, prior in {name: 0.6, "[]": 0.2, "{}": 0.2, "0": 0.2}.items():
            yield Edit(end, end, line.format(f"self.{name} = {value}"), prior, "member")
    for member in site.members:
        for value in ("[]", "{}", "0", "None", "set()"):
            yield Edit(end, end, line.format(f"{member} = {value}"), 0.25, "member")
    yield Edit(end, end, line.format("super().__init__()"), 0.3, "member")

"""Where an edit may happen: a statement, the function around it, and the words in reach there."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .source import Source, bodies, statements

Function = ast.FunctionDef | ast.AsyncFunctionDef
COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
FORMATTED_STRINGS_HAVE_POSITIONS = sys.version_info >= (3, 12)


@dataclass(frozen=True)
class Hints:
    """What the issue and the failing tests mention: identifiers, constants (as source text), exception types."""

    words: frozenset[str] = frozenset()
    literals: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    missing_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """One file's words: what it defines, and which constants, attributes and calls it uses."""

    source: Source

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.source.tree))

    @cached_property
    def functions(self) -> dict[str, list[str]]:
        """Parameter names by function or method name (without self)."""
        return {node.name: parameters(node) for node in self.nodes if isinstance(node, Function)}

    @cached_property
    def names(self) -> list[str]:
        """What the module binds at its top level, in order."""
        bound: dict[str, None] = {}
        for statement in self.source.tree.body:
            bound.update(dict.fromkeys(bindings(statement)))
        return list(bound)

    @cached_property
    def constants(self) -> list[object]:
        found = [
            node.value
            for statement in statements(self.source.tree)
            for node in expressions(statement)
            if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str)
        ]
        return list({(type(value), value): value for value in found}.values())

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """Attribute names used on each base expression, `self` among them."""
        found: dict[str, dict[str, None]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Attribute):
                found.setdefault(ast.unparse(node.value), {})[node.attr] = None
        return {base: list(names) for base, names in found.items()}

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        found: dict[str, list[ast.Call]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Call):
                found.setdefault(callee(node), []).append(node)
        return found


@dataclass(frozen=True)
class Site:
    """A statement that may be edited."""

    module: Module
    statement: ast.stmt
    function: Function | None
    owner: ast.ClassDef | None
    block: list[ast.stmt] = field(repr=False)
    hints: Hints = field(default_factory=Hints, repr=False)

    @property
    def source(self) -> Source:
        return self.module.source

    @cached_property
    def locals(self) -> list[str]:
        """Parameters and assigned names of the function, parameters first."""
        if self.function is None:
            return []
        found = dict.fromkeys(all_parameters(self.function))
        for node in ast.walk(self.function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = None
        return list(found)

    @cached_property
    def members(self) -> list[str]:
        """`self.x` expressions seen in the class."""
        if self.owner is None or self.function is None or "self" not in self.locals:
            return []
        found: dict[str, None] = {}
        for node in ast.walk(self.owner):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                found[f"self.{node.attr}"] = None
        return list(found)

    @cached_property
    def position(self) -> int:
        return next(index for index, item in enumerate(self.block) if item is self.statement)

    @property
    def before(self) -> ast.stmt | None:
        return self.block[self.position - 1] if self.position else None

    @property
    def after(self) -> ast.stmt | None:
        return self.block[self.position + 1] if self.position + 1 < len(self.block) else None

    @cached_property
    def ancestors(self) -> list[ast.AST]:
        """What the statement stands in, innermost first."""
        chain: list[ast.AST] = []
        node = self.source.parents.get(self.statement)
        while node is not None:
            chain.append(node)
            node = self.source.parents.get(node)
        return chain

    @cached_property
    def loop(self) -> ast.AST | None:
        for node in self.ancestors:
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                return node
            if isinstance(node, Function | ast.ClassDef):
                return None
        return None


def callee(call: ast.Call) -> str:
    """Last name of what is called: `f` of `f()` and of `a.f()`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def all_parameters(function: Function) -> list[str]:
    arguments = function.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [item for item in (arguments.vararg, arguments.kwarg) if item]
    return [item.arg for item in (*listed, *rest)]


def parameters(function: Function) -> list[str]:
    names = [item.arg for item in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def bindings(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (item.asname or item.name.split(".")[0] for item in names)
        case _:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement itself: no nested statement, annotation, docstring or import."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
        return
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return
    pending: list[ast.AST] = [part for part in parts(statement) if not isinstance(part, ast.stmt)]
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.expr):
            yield node
        if not isinstance(node, ast.JoinedStr) or FORMATTED_STRINGS_HAVE_POSITIONS:
            pending.extend(ast.iter_child_nodes(node))


def parts(statement: ast.stmt) -> Iterator[ast.AST]:
    match statement:
        case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
            yield from (value for value in (*args.defaults, *args.kw_defaults) if value is not None)
            yield from statement.decorator_list
        case ast.ClassDef(decorator_list=decorators):
            yield from decorators
        case ast.AnnAssign(target=target, value=value):
            yield target
            yield from [value] if value else []
        case ast.Try() | ast.TryStar():
            for handler in statement.handlers:
                yield from [handler.type] if handler.type else []
        case ast.Match(subject=subject, cases=cases):
            yield subject
            yield from (case.guard for case in cases if case.guard)
        case _:
            yield from ast.iter_child_nodes(statement)


def sites(module: Module, hints: Hints) -> Iterator[Site]:
    """Every statement of a module with its surroundings."""
    yield from _sites(module, hints, module.source.tree, None, None)


def _sites(
    module: Module, hints: Hints, node: ast.AST, function: Function | None, owner: ast.ClassDef | None
) -> Iterator[Site]:
    for block in bodies(node):
        for statement in block:
            yield Site(module, statement, function, owner, block, hints)
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    yield from _sites(module, hints, statement, statement, owner)
                case ast.ClassDef():
                    yield from _sites(module, hints, statement, None, statement)
                case _:
                    yield from _sites(module, hints, statement, function, owner)

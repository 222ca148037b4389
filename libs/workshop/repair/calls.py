"""Edits of calls: argument order, arguments too many or missing, wrapping and unwrapping, awaiting."""

import ast
import itertools
from collections.abc import Iterator

from .operators import exchange
from .site import Site, callee
from .source import Edit

WRAPPERS = {
    "int": 0.35,
    "str": 0.35,
    "float": 0.3,
    "abs": 0.35,
    "len": 0.3,
    "list": 0.35,
    "sorted": 0.35,
    "set": 0.25,
    "bool": 0.25,
    "round": 0.3,
    "tuple": 0.25,
    "dict": 0.25,
    "reversed": 0.2,
    "sum": 0.2,
    "max": 0.15,
}
SUFFIXES = {
    ".copy()": 0.35,
    ".strip()": 0.3,
    ".lower()": 0.3,
    ".upper()": 0.2,
    ".items()": 0.3,
    ".values()": 0.25,
    ".keys()": 0.15,
    ".split()": 0.2,
    ".rstrip()": 0.2,
    ".lstrip()": 0.15,
    ".encode()": 0.15,
}


def arguments(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.Call):
        return
    given = node.args
    for index, left in enumerate(given):
        for right in given[index + 1 :]:
            yield from exchange(site, left, right, 0.6 if right is given[min(index + 1, len(given) - 1)] else 0.4)
    values = [item.value for item in node.keywords]
    for index, value in enumerate(values[1:]):
        yield from exchange(site, values[index], value, 0.35)
    for value in given[:3]:
        if isinstance(value, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
            yield Edit(*site.source.span(value), f"*{site.source.segment(value)}", 0.35, "star")
    yield from dropped(node, site)
    yield from added(node, site)


def dropped(node: ast.Call, site: Site) -> Iterator[Edit]:
    """The call without one of its arguments."""
    every: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    for index, item in enumerate(every):
        start, end = site.source.span(item)
        if index:
            start = site.source.span(every[index - 1])[1]
        elif len(every) > 1:
            end = site.source.span(every[1])[0]
        if isinstance(item, ast.GeneratorExp):
            continue
        yield Edit(start, end, "", 0.4 if isinstance(item, ast.keyword) else 0.3, "argument")


def added(node: ast.Call, site: Site) -> Iterator[Edit]:
    """The call with one more argument: a keyword of the callee or of other calls of it, or a likely positional one."""
    name = callee(node)
    present = {item.arg for item in node.keywords}
    wanted = {text: prior for text, prior in keywords(node, name, site).items() if text.split("=")[0] not in present}
    if name in {"sorted", "sort"} and "reverse" not in present:
        wanted["reverse=True"] = 0.6
    if name in {"sorted", "sort", "max", "min"} and "key" not in present:
        wanted |= {
            "key=len": 0.3,
            "key=str.lower": 0.3,
            "key=lambda item: item[1]": 0.3,
            "key=lambda item: item[0]": 0.2,
        }
    if name in {"round", "get", "getattr", "pop", "next", "strip", "split", "sum", "enumerate", "max", "min", "int"}:
        wanted |= {
            "2": 0.3,
            "0": 0.45 if name == "pop" else 0.3,
            "1": 0.3,
            "None": 0.25,
            "[]": 0.15,
            "''": 0.15,
            "-1": 0.15,
            "','": 0.15,
            "default=0": 0.25,
        }
    if name == "zip":
        wanted["strict=True"] = 0.3
    yield from insertions(node, site, wanted)


def keywords(node: ast.Call, name: str, site: Site) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for other in site.module.calls.get(name, ()):
        wanted |= {ast.unparse(item): 0.45 for item in other.keywords if item.arg}
    for parameter in site.module.functions.get(name, ())[len(node.args) :]:
        if parameter in site.locals:
            wanted[f"{parameter}={parameter}"] = 0.6
        elif f"self.{parameter}" in site.members:
            wanted[f"{parameter}=self.{parameter}"] = 0.55
    return wanted


def insertions(node: ast.Call, site: Site, wanted: dict[str, float]) -> Iterator[Edit]:
    every: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    rest = site.function.args if site.function else None
    if rest and rest.kwarg:
        wanted[f"**{rest.kwarg.arg}"] = 0.55
    if rest and rest.vararg:
        wanted[f"*{rest.vararg.arg}"] = 0.5
    if any(isinstance(item, ast.GeneratorExp) for item in every[:1]) and len(every) == 1:
        return
    end = site.source.span(every[-1])[1] if every else site.source.span(node)[1] - 1
    for text, prior in wanted.items():
        yield Edit(end, end, f", {text}" if every else text, prior, "argument")
    positional = site.source.span(node.args[-1])[1] if node.args else site.source.span(node.func)[1] + 1
    if callee(node) in site.module.functions:
        for name in (*site.locals[:10], *site.members[:8]):
            if name not in {"self", "cls"}:
                text = f", {name}" if node.args else name
                yield Edit(positional, positional, text, 0.25, "argument")


def wraps(node: ast.expr, site: Site) -> Iterator[Edit]:
    """The value of an expression passed through one more conversion."""
    if isinstance(node, ast.GeneratorExp | ast.Starred | ast.Constant | ast.Compare | ast.JoinedStr):
        return
    prior = chance_of_wrap(node, site)
    if not prior:
        return
    text = site.source.segment(node)
    yield from mirrored(node, site)
    for name, chance in WRAPPERS.items():
        if not text.startswith(f"{name}("):
            yield Edit(*site.source.span(node), f"{name}({text})", chance * prior, "wrap")
    if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
        for suffix, chance in SUFFIXES.items():
            yield Edit(*site.source.span(node), f"{text}{suffix}", chance * prior, "wrap")
    if isinstance(node, ast.BinOp):
        for digits in ("2", "1"):
            yield Edit(*site.source.span(node), f"round({text}, {digits})", 0.3 * prior, "wrap")


def mirrored(node: ast.expr, site: Site) -> Iterator[Edit]:
    """The same conversion as on the other side of a comparison."""
    parent = site.source.parents.get(node)
    if not isinstance(parent, ast.Compare) or len(parent.comparators) != 1:
        return
    other = parent.left if node is parent.comparators[0] else parent.comparators[0]
    text = site.source.segment(node)
    match other:
        case ast.Call(func=ast.Attribute(attr=name), args=[], keywords=[]) if not text.endswith(f".{name}()"):
            yield Edit(*site.source.span(node), f"{text}.{name}()", 0.9, "wrap")
        case ast.Call(func=ast.Name(id=name), args=[_]) if not text.startswith(f"{name}("):
            yield Edit(*site.source.span(node), f"{name}({text})", 0.7, "wrap")


def chance_of_wrap(node: ast.expr, site: Site) -> float:
    if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return 0.0
    match site.source.parents.get(node):
        case ast.Return() | ast.Assign() | ast.For() | ast.Call() as parent if (
            getattr(parent, "func", None) is not node
        ):
            return 1.0
        case ast.Compare() | ast.BinOp() | ast.Subscript() | ast.comprehension():
            return 0.9
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return 1.0
        case ast.keyword() | ast.AugAssign() | ast.Dict() | ast.List() | ast.Tuple():
            return 0.8
    return 0.0


def unwraps(node: ast.expr, site: Site) -> Iterator[Edit]:
    """A call replaced by what it was applied to."""
    if not isinstance(node, ast.Call):
        return
    span = site.source.span(node)
    if node.args and not isinstance(node.args[0], ast.GeneratorExp | ast.Starred):
        for argument in node.args[:2]:
            yield Edit(*span, site.source.segment(argument), 0.35, "unwrap")
    if isinstance(node.func, ast.Attribute):
        yield Edit(*span, site.source.segment(node.func.value), 0.35, "unwrap")
    if not node.args and not node.keywords:
        yield Edit(*span, site.source.segment(node.func), 0.3, "unwrap")


def awaits(node: ast.expr, site: Site) -> Iterator[Edit]:
    text = site.source.segment(node)
    match node:
        case ast.Await(value=value):
            yield Edit(*site.source.span(node), site.source.segment(value), 0.3, "await")
        case ast.Call() if isinstance(site.function, ast.AsyncFunctionDef):
            if not isinstance(site.source.parents.get(node), ast.Await):
                yield Edit(*site.source.span(node), f"await {text}", 0.6, "await")
        case ast.Yield(value=value) if value is not None:
            yield Edit(*site.source.span(node), f"yield from {site.source.segment(value)}", 0.6, "yield")
        case ast.YieldFrom(value=value):
            yield Edit(*site.source.span(node), f"yield {site.source.segment(value)}", 0.6, "yield")


def alternatives(node: ast.expr, site: Site) -> Iterator[Edit]:
    """Conditional expressions turned round, unpacking added or taken away, recursion with more or less."""
    match node:
        case ast.IfExp(body=body, orelse=other):
            yield from exchange(site, body, other, 0.5)
            for kept in (body, other):
                yield Edit(*site.source.span(node), site.source.segment(kept), 0.3, "branch")
        case ast.Starred(value=value):
            yield Edit(*site.source.span(node), site.source.segment(value), 0.4, "star")
        case ast.List(elts=[only]) | ast.Tuple(elts=[only]):
            yield Edit(*site.source.span(node), site.source.segment(only), 0.3, "unwrap")
        case ast.Tuple(elts=[*items]) | ast.List(elts=[*items]):
            for left, right in itertools.pairwise(items):
                yield from exchange(site, left, right, 0.5)
        case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=name), *_]), body=body):
            text = site.source.segment(body)
            changes = (f"-{text}", f"{text}.lower()", f"{name}[0]", f"{name}[1]", f"(-{name}[1], {name}[0])", name)
            for change in changes:
                yield Edit(*site.source.span(body), change, 0.35, "key")
        case ast.DictComp(key=key, value=value):
            yield from exchange(site, key, value, 0.4)


def combined(node: ast.expr, site: Site) -> Iterator[Edit]:
    """A value joined with a local name, where a term may have been forgotten."""
    parent = site.source.parents.get(node)
    is_value = isinstance(parent, ast.Return | ast.Assign | ast.AugAssign) and getattr(parent, "value", None) is node
    if not is_value or isinstance(node, ast.Constant | ast.Compare | ast.BoolOp | ast.Tuple | ast.Dict):
        return
    text = site.source.segment(node)
    for name in (*site.locals[:10], *site.members[:6]):
        if name in {"self", "cls", text}:
            continue
        for operator in ("+", "*", "-", "or", "and"):
            yield Edit(*site.source.span(node), f"{text} {operator} {name}", 0.25, "term")

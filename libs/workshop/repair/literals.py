"""Edits of constants, indices, bounds, and of values that are off by one."""

import ast
import re
from collections.abc import Iterator

from .operators import bare_span, grouped, is_number
from .site import FORMATTED_STRINGS_HAVE_POSITIONS, Site, callee
from .source import Edit

STRING_NEIGHBOURS = ((" ", ""), ("", " "), ("_", "-"), ("-", "_"), (",", ", "), (", ", ","), ("\n", ""), (".", ""))
REGEX_NEIGHBOURS = (
    ("+", "*"),
    ("*", "+"),
    ("$", ""),
    ("^", ""),
    ("?", ""),
    ("\\d", "\\w"),
    ("\\w", "\\S"),
    (".", "\\."),
)
LOOSE = (ast.Return, ast.Assign, ast.Slice, ast.Subscript, ast.Call, ast.keyword, ast.Compare)
CODES = "YmdHMSyIjpbBaAeEfgGsdrxXobcn"


def constants(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.Constant):
        return
    if not isinstance(site.source.parents.get(node), ast.JoinedStr | ast.FormattedValue):
        names = [name for name in (*site.locals[:12], *site.members[:8]) if name not in {"self", "cls"}]
        named = [name for name in site.module.names if name.isupper()][:10]
        yield from literal(site, node, {**dict.fromkeys(named, 0.25), **dict.fromkeys(names, 0.3)})
    match node.value:
        case bool(value):
            yield from literal(site, node, {str(not value): 0.85, "None": 0.3})
        case int() | float():
            yield from numbers(site, node)
        case str(value):
            yield from strings(site, node, value)
        case None:
            yield from literal(site, node, dict.fromkeys(("0", "[]", "{}", '""', "False", "True", "1"), 0.35))


def literal(site: Site, node: ast.expr, values: dict[str, float]) -> Iterator[Edit]:
    text = site.source.segment(node)
    for value, prior in values.items():
        if value != text:
            yield Edit(*site.source.span(node), value, prior, "constant")


def numbers(site: Site, node: ast.Constant) -> Iterator[Edit]:
    value = node.value
    if not isinstance(value, int | float):
        return
    parent = site.source.parents.get(node)
    signed = isinstance(parent, ast.UnaryOp)
    near = {repr(value + 1): 0.7, repr(value - 1): 0.7, "0": 0.5, "1": 0.5}
    if not signed:
        near |= {"-1": 0.45, repr(-value): 0.4, f"{value!r}.0": 0.1}
    far = {repr(value * 10): 0.25, repr(value * 2): 0.25, "2": 0.3, "None": 0.2}
    far |= {repr(value // 2): 0.25, repr(value / 10): 0.2, repr(value // 10): 0.2, "''": 0.15, "[]": 0.15}
    seen = {repr(item): 0.35 for item in site.module.constants if isinstance(item, int | float)}
    hinted = {item: 0.45 for item in site.hints.literals if re.match(r"-?[\d.]+$", item)}
    unique = {**seen, **far, **hinted, **near}
    useless = {repr(value)} | neutral(parent)
    yield from literal(site, node, {text: prior for text, prior in unique.items() if text not in useless})


def neutral(parent: ast.AST | None) -> set[str]:
    """Numbers that would make an operation do nothing: such an edit should drop the operation instead."""
    match parent:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return {"0", "-1", "-2"}
        case ast.BinOp(op=ast.Mult() | ast.Div() | ast.FloorDiv() | ast.Pow()):
            return {"1"}
    return set()


def strings(site: Site, node: ast.Constant, value: str) -> Iterator[Edit]:
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.JoinedStr) and not FORMATTED_STRINGS_HAVE_POSITIONS:
        return
    text = site.source.segment(node)
    if isinstance(parent, ast.JoinedStr):
        return
    if "{" in value and re.search(r"\{\w", value) and text[0] in "\"'":
        yield Edit(*site.source.span(node), f"f{text}", 0.8, "format")
    seen = {repr(item): 0.3 for item in site.module.constants if isinstance(item, str) and len(item) < 60}
    hinted = {item: 0.45 for item in site.hints.literals if item[0] in "\"'"}
    cases = {repr(item): 0.3 for item in (value.lower(), value.upper(), value.title(), value.strip(), "", " ")}
    yield from literal(site, node, {requoted(item, text): prior for item, prior in {**cases, **seen, **hinted}.items()})
    yield from respelt(site, node, text)


def requoted(literal: str, like: str) -> str:
    """A string literal in the quotes of another one, where that changes nothing else."""
    quote, inner = like.lstrip("rRbBuUfF")[:1], literal[1:-1]
    plain = quote in {"'", '"'} and not set(inner) & {"'", '"', "\\"}
    return f"{quote}{inner}{quote}" if plain else literal


def respelt(site: Site, node: ast.expr, text: str) -> Iterator[Edit]:
    """A string literal with a few characters exchanged inside its quotes."""
    match = re.match(r"""([A-Za-z]*)('''|\"\"\"|'|\")""", text)
    if match is None or len(text) > 400:
        return
    opening, closing = match.end(), len(text) - len(match.group(2))
    inner = text[opening:closing]
    found: dict[str, float] = {}
    for old, new in (*STRING_NEIGHBOURS, *REGEX_NEIGHBOURS):
        for place in re.finditer(re.escape(old), inner) if old else re.finditer(r"^|$", inner):
            found[inner[: place.start()] + new + inner[place.end() :]] = 0.3
    for place in re.finditer(r"(?<=[\w-])\](?!.*\[\w*$)", inner):
        for more in ("0-9", "A-Z", "a-z", "_", ".", "-", "+"):
            found[inner[: place.start()] + more + inner[place.start() :]] = 0.3
    for place in re.finditer(r"\d", inner):
        for step in (1, -1):
            digit = str((int(place.group()) + step) % 10)
            found[inner[: place.start()] + digit + inner[place.end() :]] = 0.35
    for place in re.finditer(r"(?<=%)[A-Za-z]|(?<=[\d:])[a-zA-Z](?=\})", inner):
        for code in CODES:
            found[inner[: place.start()] + code + inner[place.end() :]] = 0.2
    start = site.source.span(node)[0]
    for changed, prior in found.items():
        if changed != inner:
            yield Edit(start + opening, start + closing, changed, prior, "constant")


def formatted(node: ast.expr, site: Site) -> Iterator[Edit]:
    """Names and format specifications inside an f-string, as text."""
    if not isinstance(node, ast.JoinedStr):
        return
    text, start = site.source.segment(node), site.source.span(node)[0]
    yield from respelt(site, node, text)
    for place in re.finditer(r"(?<=[{ .(])[A-Za-z_][\w.]*(?=[^{}\"']*\})", text):
        for name in (*site.locals, *site.members):
            if name not in {place.group(), "self"}:
                yield Edit(start + place.start(), start + place.end(), name, 0.4, "name")


def off_by_one(node: ast.expr, site: Site) -> Iterator[Edit]:
    """One more and one less, where numbers are: indices, bounds, comparisons, returned and assigned values."""
    prior = chance_of_shift(node, site)
    if not prior:
        return
    if (
        isinstance(node, ast.BinOp)
        and any(isinstance(part, ast.Constant) for part in ast.walk(node))
        and not is_number(node.right)
    ):
        prior *= 0.7  # its own number is the better place
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as operation, right=ast.Constant(value=int(amount))):
            amount = amount if isinstance(operation, ast.Add) else -amount
            for step in (1, -1):
                yield resummed(site, node, left, amount + step, prior)
        case _:
            text = site.source.segment(node)
            parent = site.source.parents.get(node)
            form = "{}" if isinstance(parent, LOOSE) else "({})"
            for sign in "+-":
                yield Edit(*site.source.span(node), form.format(f"{text} {sign} 1"), prior, "off by one")


def resummed(site: Site, node: ast.expr, left: ast.expr, amount: int, prior: float) -> Edit:
    """`x + 1` with another amount, and without any if that is 0."""
    base = site.source.segment(left)
    if amount == 0:
        return Edit(*bare_span(site, node, left), base, max(prior, 0.55), "off by one")
    return Edit(*site.source.span(node), f"{base} {'+' if amount > 0 else '-'} {abs(amount)}", prior, "off by one")


def distances(node: ast.expr, site: Site) -> Iterator[Edit]:
    """Bounds and compared values with another name added, taken away, or its length taken away."""
    parent = site.source.parents.get(node)
    is_bound = isinstance(parent, ast.Slice) or (isinstance(parent, ast.Subscript) and parent.slice is node)
    is_bound = is_bound or (isinstance(parent, ast.Call) and callee(parent) == "range" and parent.func is not node)
    if not is_bound and not (isinstance(parent, ast.Compare) and isinstance(node, ast.BinOp | ast.Call | ast.Name)):
        return
    text, scale = site.source.segment(node), 1.0 if is_bound else 0.6
    for name in (*site.locals[:10], *site.members[:5]):
        if name not in {"self", "cls", text}:
            for other, prior in {
                f"{text} + {name}": 0.35,
                f"{text} - {name}": 0.35,
                f"{text} - len({name})": 0.3,
            }.items():
                yield Edit(*site.source.span(node), other, prior * scale, "distance")
            if is_bound:
                yield Edit(*site.source.span(node), f"{name} + {text}", 0.36, "distance")
                yield Edit(*site.source.span(node), f"{name} - {text}", 0.3, "distance")


def chance_of_shift(node: ast.expr, site: Site) -> float:
    if is_number(node) or not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.BinOp | ast.Subscript):
        return 0.0
    match site.source.parents.get(node):
        case ast.Slice() | ast.Call(func=ast.Name(id="range")):
            return 0.7
        case ast.Subscript(slice=inner) if inner is node:
            return 0.7
        case ast.Compare():
            return 0.5
        case ast.Return() | ast.BinOp() | ast.AugAssign():
            return 0.4
        case ast.Call(func=function) if function is not node:
            return 0.4
        case ast.Assign(value=value) if value is node:
            return 0.45
    return 0.0


def subscripts(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.Subscript):
        return
    if isinstance(node.slice, ast.Slice):
        yield from slices(node, node.slice, site)
        return
    first, last = site.source.span(node.slice)
    text = site.source.text[first:last]
    for index in ("0", "-1", "1", "-2"):
        if text != index and (is_number(node.slice) or isinstance(node.slice, ast.UnaryOp)):
            yield Edit(first, last, index, 0.7 if {text, index} == {"0", "-1"} else 0.4, "index")
    if isinstance(node.ctx, ast.Load):
        base = site.source.segment(node.value)
        gets = (f"{base}.get({text})", f"{base}.get({text}, 0)", f"{base}.get({text}, [])", f"{base}.get({text}, '')")
        for value in gets:
            yield Edit(*site.source.span(node), value, 0.3, "lookup")
        yield Edit(*site.source.span(node), base, 0.25, "lookup")


def slices(node: ast.Subscript, part: ast.Slice, site: Site) -> Iterator[Edit]:
    start, end = site.source.span(node.value)[1], site.source.span(node)[1]
    lower, upper, step = (site.source.segment(item) if item else "" for item in (part.lower, part.upper, part.step))
    tail = f":{step}" if step else ""
    choices = {
        f"[{upper}:{lower}{tail}]": 0.5,
        f"[{lower}:{tail}]": 0.5 if upper else 0,
        f"[:{upper}{tail}]": 0.5 if lower else 0,
        f"[1:{upper}{tail}]": 0 if lower else 0.6,
        f"[{lower}:-1{tail}]": 0 if upper else 0.6,
        f"[{lower}:-{upper}{tail}]": 0.4 if upper and not upper.startswith("-") else 0,
        f"[-{lower}:{upper}{tail}]": 0.5 if lower and not lower.startswith("-") else 0,
        f"[{lower}:{upper}]": 0.4 if step else 0,
        f"[{lower}:{upper}:-1]": 0 if step else 0.3,
    }
    for text, prior in choices.items():
        if prior and text != site.source.text[start:end]:
            yield Edit(start, end, text, prior, "slice")


def ranges(node: ast.expr, site: Site) -> Iterator[Edit]:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=[only]):
            text = site.source.segment(only)
            for arguments in (f"1, {text}", f"1, {text} + 1", f"{text} - 1, -1, -1", f"2, {text}"):
                yield Edit(*site.source.span(only), arguments, 0.45, "range")
        case ast.Call(func=ast.Name(id="range"), args=[first, second]):
            yield Edit(*site.source.span(first), "0", 0.5, "range")
            start, end = site.source.span(first)[0], site.source.span(second)[1]
            for arguments in (grouped(site, second), f"{site.source.text[start:end]}, 2"):
                yield Edit(start, end, arguments, 0.3, "range")

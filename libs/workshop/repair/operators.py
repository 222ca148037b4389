"""Edits of operators: comparisons, arithmetic, boolean logic, augmented assignments."""

import ast
import itertools
import re
from collections.abc import Iterator

from .site import Site
from .source import Edit, Source

SPELLING: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.And: "and", ast.Or: "or", ast.MatMult: "@",
}  # fmt: skip

TIGHT = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List, ast.Dict, ast.Set)

COMPARISONS: dict[str, dict[str, float]] = {
    "<": {"<=": 1.0, ">": 0.75, ">=": 0.6, "!=": 0.5, "==": 0.35},
    "<=": {"<": 1.0, ">=": 0.75, ">": 0.6, "==": 0.4, "!=": 0.3},
    ">": {">=": 1.0, "<": 0.75, "<=": 0.6, "!=": 0.5, "==": 0.35},
    ">=": {">": 1.0, "<=": 0.75, "<": 0.6, "==": 0.4, "!=": 0.3},
    "==": {"!=": 0.8, ">=": 0.5, "<=": 0.5, "is": 0.3, "in": 0.3, ">": 0.3, "<": 0.3},
    "!=": {"==": 0.8, "<": 0.45, ">": 0.45, "is not": 0.3, "not in": 0.3, "<=": 0.3, ">=": 0.3},
    "in": {"not in": 0.85, "==": 0.35},
    "not in": {"in": 0.85, "!=": 0.35},
    "is": {"is not": 0.85, "==": 0.8},
    "is not": {"is": 0.85, "!=": 0.8},
}
ARITHMETIC: dict[str, dict[str, float]] = {
    "+": {"-": 0.9, "*": 0.5, "%": 0.2, "//": 0.2, "|": 0.2},
    "-": {"+": 0.9, "*": 0.35, "//": 0.3, "%": 0.3, "/": 0.3},
    "*": {"/": 0.6, "+": 0.6, "**": 0.5, "//": 0.5, "-": 0.35, "%": 0.25},
    "/": {"//": 0.85, "*": 0.7, "%": 0.3, "-": 0.25},
    "//": {"/": 0.8, "%": 0.6, "*": 0.5, ">>": 0.2},
    "%": {"//": 0.6, "/": 0.45, "*": 0.35, "+": 0.25, "-": 0.25},
    "**": {"*": 0.7, "+": 0.2, "//": 0.2},
    "&": {"|": 0.7, "^": 0.5, "-": 0.3},
    "|": {"&": 0.7, "^": 0.5, "+": 0.3},
    "^": {"&": 0.6, "|": 0.5, "**": 0.5},
    "<<": {">>": 0.8},
    ">>": {"<<": 0.8},
    "@": {},
}


def between(source: Source, left: ast.expr, right: ast.expr, operator: str) -> tuple[int, int] | None:
    """Where an operator stands between its operands."""
    start, end = source.span(left)[1], source.span(right)[0]
    pattern = r"\s+".join(re.escape(word) for word in operator.split())
    if operator[0].isalpha():
        pattern = rf"\b{pattern}\b"
    gap = re.sub(r"#[^\r\n]*", lambda match: " " * len(match.group()), source.text[start:end])
    match = re.search(pattern, gap)
    return (start + match.start(), start + match.end()) if match else None


def swap_operator(
    site: Site, left: ast.expr, right: ast.expr, operator: str, others: dict[str, float]
) -> Iterator[Edit]:
    span = between(site.source, left, right, operator)
    if span:
        yield from (Edit(*span, other, prior, "operator") for other, prior in others.items())


def comparisons(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.Compare):
        return
    operands = [node.left, *node.comparators]
    for left, operation, right in zip(operands, node.ops, operands[1:], strict=False):
        name = SPELLING[type(operation)]
        yield from swap_operator(site, left, right, name, COMPARISONS[name])
    if len(operands) == 2:
        yield from exchange(site, operands[0], operands[1], 0.25)
    elif len(operands) == 3:
        yield Edit(site.source.span(node)[0], site.source.span(operands[1])[0], "", 0.3, "drop")


def exchange(site: Site, left: ast.expr, right: ast.expr, prior: float) -> Iterator[Edit]:
    """Two expressions in each other's place; what stands between them stays."""
    first, second = site.source.span(left), site.source.span(right)
    text = site.source.text
    if first[1] <= second[0] and text[slice(*first)] != text[slice(*second)]:
        new = text[slice(*second)] + text[first[1] : second[0]] + text[slice(*first)]
        yield Edit(first[0], second[1], new, prior, "exchange")


def arithmetic(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.BinOp):
        return
    name = SPELLING[type(node.op)]
    if name == "%" and isinstance(node.left, ast.Constant | ast.JoinedStr) and not is_number(node.left):
        return
    yield from swap_operator(site, node.left, node.right, name, ARITHMETIC[name])
    yield from exchange(site, node.left, node.right, 0.5 if name in {"-", "/", "//", "%", "**", "<<", ">>"} else 0.2)
    for kept in (node.left, node.right):
        yield Edit(*bare_span(site, node, kept), grouped(site, kept), 0.4, "drop operand")
    yield from regroup(node, site)


def bare_span(site: Site, node: ast.expr, replacement: ast.expr) -> tuple[int, int]:
    """The node's span, with the parentheses around it if what replaces it no longer needs them."""
    start, end = site.source.span(node)
    text = site.source.text
    around = text[start - 1 : start] == "(" and text[end : end + 1] == ")"
    is_call = bool(re.search(r"[\w\])]\s*$", text[: start - 1][-20:])) and not re.search(
        r"\b(return|in|not|and|or|if|else)\s*$", text[: start - 1][-20:]
    )
    return (start - 1, end + 1) if around and not is_call and isinstance(replacement, TIGHT) else (start, end)


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def grouped(site: Site, node: ast.expr) -> str:
    """Source text of a node, in parentheses unless it binds as tightly as a name."""
    text = site.source.segment(node)
    return text if isinstance(node, TIGHT) or text.startswith("(") else f"({text})"


def regroup(node: ast.BinOp | ast.BoolOp, site: Site) -> Iterator[Edit]:
    """`a + b * c` as `(a + b) * c` and `a * b + c` as `a * (b + c)`."""
    operands = [node.left, node.right] if isinstance(node, ast.BinOp) else node.values
    text = site.source.text
    for left, right in itertools.pairwise(operands):
        start, end = site.source.span(left)[0], site.source.span(right)[1]
        last, first = tail(left), head(right)
        if first is not right and text[site.source.span(left)[1] : site.source.span(right)[0]].count("(") == 0:
            close = site.source.span(first)[1]
            yield Edit(start, end, f"({text[start:close]}){text[close:end]}", 0.45, "regroup")
        if last is not left and text[site.source.span(left)[1] : site.source.span(right)[0]].count(")") == 0:
            begin = site.source.span(last)[0]
            yield Edit(start, end, f"{text[start:begin]}({text[begin:end]})", 0.45, "regroup")


def head(node: ast.expr) -> ast.expr:
    match node:
        case ast.BinOp(left=left) | ast.BoolOp(values=[left, *_]):
            return left
    return node


def tail(node: ast.expr) -> ast.expr:
    match node:
        case ast.BinOp(right=right) | ast.BoolOp(values=[*_, right]):
            return right
    return node


def booleans(node: ast.expr, site: Site) -> Iterator[Edit]:
    if not isinstance(node, ast.BoolOp):
        return
    name = SPELLING[type(node.op)]
    other = "or" if name == "and" else "and"
    for left, right in zip(node.values, node.values[1:], strict=False):
        yield from swap_operator(site, left, right, name, {other: 0.9})
    for index, value in enumerate(node.values):
        kept = [grouped(site, item) for item in node.values if item is not value]
        yield Edit(*site.source.span(node), f" {name} ".join(kept), 0.4, "drop operand")
        yield from negate(site, value, 0.5)
        if index:
            yield from exchange(site, node.values[index - 1], value, 0.4)
    yield from regroup(node, site)


def negate(site: Site, node: ast.expr, prior: float) -> Iterator[Edit]:
    text = site.source.segment(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Edit(*site.source.span(node), site.source.segment(node.operand), max(prior, 0.7), "negate")
    else:
        simple = isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
        yield Edit(*site.source.span(node), f"not {text}" if simple else f"not ({text})", prior, "negate")


def signs(node: ast.expr, site: Site) -> Iterator[Edit]:
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        yield Edit(*site.source.span(node), site.source.segment(node.operand), 0.65, "sign")
    elif isinstance(node, ast.UnaryOp):
        yield from negate(site, node, 0.7)


def truthiness(node: ast.expr, site: Site) -> Iterator[Edit]:
    """`if x` for `if x is not None`, `x or y` for a default only when there is nothing, and the reverse."""
    span, parent = site.source.span(node), site.source.parents.get(node)
    match node:
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
            text = grouped(site, left)
            yield Edit(*span, f"not {text}" if isinstance(node.ops[0], ast.Is) else text, 0.5, "truth")
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() | ast.Attribute() | ast.Call() as operand):
            yield Edit(*span, f"{site.source.segment(operand)} is None", 0.6, "truth")
        case ast.Name() | ast.Attribute() | ast.Call() if getattr(parent, "test", None) is node or is_operand(parent):
            yield Edit(*span, f"{site.source.segment(node)} is not None", 0.6, "truth")
        case ast.BoolOp(op=ast.Or(), values=[first, second]):
            yes, no = site.source.segment(first), site.source.segment(second)
            yield Edit(*span, f"({yes} if {yes} is not None else {no})", 0.4, "truth")


def is_operand(parent: ast.AST | None) -> bool:
    return isinstance(parent, ast.BoolOp)


def conditions(node: ast.expr, site: Site) -> Iterator[Edit]:
    """Conditions as a whole: turned round, or made stricter or laxer with another name."""
    parent = site.source.parents.get(node)
    if getattr(parent, "test", None) is not node and node not in getattr(parent, "ifs", ()):
        return
    yield from negate(site, node, 0.6)
    yield from (Edit(*site.source.span(node), value, 0.2, "condition") for value in ("True", "False"))
    text = grouped(site, node) if isinstance(node, ast.BoolOp | ast.IfExp) else site.source.segment(node)
    for name in [*site.locals[:6], *site.members[:4]]:
        if name in {"self", "cls"}:
            continue
        for extra in (f"and {name}", f"or {name}", f"and not {name}", f"or not {name}", f"and {name} is not None"):
            yield Edit(*site.source.span(node), f"{text} {extra}", 0.25, "condition")


def augmented(statement: ast.stmt, site: Site) -> Iterator[Edit]:
    """`+=` and its relatives, and plain assignments that should have been one."""
    match statement:
        case ast.AugAssign(target=target, value=value, op=operation):
            name = SPELLING[type(operation)]
            others = {f"{other}=": prior for other, prior in ARITHMETIC[name].items()}
            yield from swap_operator(site, target, value, f"{name}=", {**others, "=": 0.6})
        case ast.Assign(targets=[target], value=value) if not isinstance(target, ast.Tuple):
            likely = 0.4 if isinstance(target, ast.Name) else 0.65
            others = {"+=": likely, "-=": 0.35, "*=": 0.3, "|=": 0.15}
            yield from swap_operator(site, target, value, "=", others)

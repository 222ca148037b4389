"""Edits that delete, move, repeat or replace whole statements."""

import ast
import re
from collections.abc import Iterator

from .site import COMPOUND, Function, Site
from .source import Edit, bodies, is_docstring

STEP = "    "


def reindented(text: str, old: str, new: str) -> str:
    """Whole lines moved to another indentation."""
    return re.sub(rf"^{re.escape(old)}(?=\S|[ \t])", lambda _: new, text, flags=re.MULTILINE) if old != new else text


def deeper(site: Site, indent: str) -> str:
    """One level further in, by the file's own step."""
    for node in site.module.nodes:
        if isinstance(node, Function | ast.If | ast.For | ast.While):
            inner = site.source.indent(node.body[0])
            outer = site.source.indent(node)
            if inner.startswith(outer) and len(inner) > len(outer):
                return indent + inner[len(outer) :]
    return indent + STEP


def movable(site: Site) -> bool:
    statement = site.statement
    is_definition = isinstance(statement, Function | ast.ClassDef | ast.Import | ast.ImportFrom)
    return not is_definition and not is_docstring(statement) and site.source.is_alone(statement) and not is_elif(site)


def is_elif(site: Site) -> bool:
    start = site.source.span(site.statement)[0]
    return isinstance(site.statement, ast.If) and site.source.text.startswith("elif", start)


def with_newline(site: Site, text: str) -> str:
    return text if text.endswith(("\n", "\r")) else text + site.source.newline


def lines_of(site: Site, statement: ast.stmt) -> str:
    start, end = site.source.line_span(statement)
    return with_newline(site, site.source.text[start:end])


def deletions(site: Site) -> Iterator[Edit]:
    if not movable(site):
        return
    start, end = site.source.line_span(site.statement)
    replacement = "" if len(site.block) > 1 else site.source.indent(site.statement) + "pass" + site.source.newline
    if isinstance(site.statement, ast.Pass):
        return
    heavy = isinstance(site.statement, (*COMPOUND, ast.Raise, ast.Return))
    yield Edit(start, end, replacement, 0.25 if heavy else 0.4, "delete")


def exchanges(site: Site) -> Iterator[Edit]:
    """The statement and the next one in each other's place."""
    following = site.after
    if following is None or not movable(site) or not site.source.is_alone(following):
        return
    if isinstance(following, Function | ast.ClassDef):
        return
    first, second = site.source.line_span(site.statement), site.source.line_span(following)
    gap = site.source.text[first[1] : second[0]]
    yield Edit(first[0], second[1], lines_of(site, following) + gap + lines_of(site, site.statement), 0.55, "move")


def outward(site: Site) -> Iterator[Edit]:
    """The statement moved out of its block: after the block's owner, or before it."""
    owner = site.ancestors[0]
    if not movable(site) or not isinstance(owner, COMPOUND) or not isinstance(owner, ast.stmt) or len(site.block) < 2:
        return
    if not site.source.is_alone(owner):
        return
    start, end = site.source.line_span(site.statement)
    owner_start, owner_end = site.source.line_span(owner)
    moved = reindented(lines_of(site, site.statement), site.source.indent(site.statement), site.source.indent(owner))
    text = site.source.text
    rest = with_newline(site, text[end:owner_end]) if end < owner_end else ""
    yield Edit(start, owner_end, rest + moved, 0.6, "move")
    yield Edit(owner_start, end, moved + text[owner_start:start], 0.35, "move")


def inward(site: Site) -> Iterator[Edit]:
    """The statement moved to the end of the block before it, or to the start of the one after it."""
    if not movable(site):
        return
    own = lines_of(site, site.statement)
    start, end = site.source.line_span(site.statement)
    indent = site.source.indent(site.statement)
    before, after = site.before, site.after
    if isinstance(before, COMPOUND):
        for block in every_block(before):
            place = site.source.line_span(block[-1])[1]
            moved = reindented(own, indent, site.source.indent(block[-1]))
            yield Edit(place, end, moved + site.source.text[place:start], 0.45, "move")
    if isinstance(after, COMPOUND):
        block = next(bodies(after))
        place = site.source.line_span(block[0])[0]
        yield Edit(
            start,
            place,
            site.source.text[end:place] + reindented(own, indent, site.source.indent(block[0])),
            0.4,
            "move",
        )


def every_block(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Blocks that end where the node's text ends, outermost first."""
    for block in bodies(node):
        yield block
        if isinstance(block[-1], COMPOUND):
            yield from every_block(block[-1])


def jumps(site: Site) -> Iterator[Edit]:
    span = site.source.span(site.statement)
    match site.statement:
        case ast.Break():
            choices = {"continue": 0.7, "return": 0.3, "pass": 0.4}
        case ast.Continue():
            choices = {"break": 0.7, "return": 0.3, "pass": 0.4}
        case ast.Pass():
            choices = {"continue": 0.4, "break": 0.4, "return None": 0.3, "raise": 0.4}
        case _:
            return
    for text, prior in choices.items():
        yield Edit(*span, text, prior, "jump")


def returns(site: Site) -> Iterator[Edit]:
    """Values returned where another was meant."""
    statement, span = site.statement, site.source.span(site.statement)
    if not isinstance(statement, ast.Return):
        return
    value = statement.value
    if value is None or isinstance(value, ast.Constant):
        plain = ("None", "True", "False", "[]", "0")
        for other in (*site.locals, *plain, *site.members[:6], *site.hints.literals[:10]):
            yield Edit(*span, f"return {other}", 0.4, "return")
        return
    text = site.source.segment(value)
    yield Edit(*site.source.span(value), f"not {text}", 0.4, "return")
    yield Edit(*site.source.span(value), "None", 0.25, "return")
    for name in (*site.locals, *site.members[:10]):
        if not isinstance(value, ast.Name):
            yield Edit(*site.source.span(value), name, 0.3, "return")
    if site.loop:
        yield Edit(*span, f"yield {text}", 0.3, "return")


def keywords(site: Site) -> Iterator[Edit]:
    """An expression alone on its line that should have been returned, raised, awaited or assigned."""
    statement, span = site.statement, site.source.span(site.statement)
    match statement:
        case ast.Expr(value=ast.Yield(value=value)) if value is not None:
            yield Edit(*span, f"return {site.source.segment(value)}", 0.3, "keyword")
        case ast.Expr(value=value) if site.function and not isinstance(value, ast.Constant):
            prefix = {"return ": 0.3 if site.after else 0.7, "await ": 0.3}
            if isinstance(value, ast.Call) and ast.unparse(value.func).endswith(("Error", "Exception")):
                prefix = {"raise ": 0.95}
            for word, prior in prefix.items():
                yield Edit(span[0], span[0], word, prior, "keyword")
            yield from reassigned(site, value)


def reassigned(site: Site, value: ast.expr) -> Iterator[Edit]:
    """`x.strip()` alone as `x = x.strip()`."""
    start = site.source.span(site.statement)[0]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        base = site.source.segment(value.func.value)
        yield Edit(start, start, f"{base} = ", 0.5, "assign")
    if isinstance(value, ast.Call):
        for name in (*site.locals[:10], *site.members[:6]):
            if name not in {"self", "cls"}:
                yield Edit(start, start, f"{name} = ", 0.3, "assign")


def chains(site: Site) -> Iterator[Edit]:
    """`if` after `if` as `elif`, and the reverse; a loop's `else` taken away."""
    statement = site.statement
    if not isinstance(statement, ast.If):
        return
    start = site.source.span(statement)[0]
    if is_elif(site):
        yield Edit(start, start + 2, "", 0.5, "chain")
    elif isinstance(site.before, ast.If) and not site.before.orelse:
        yield Edit(start, start, "el", 0.5, "chain")
    if isinstance(statement.test, ast.expr) and not is_elif(site):
        yield Edit(start, start + 2, "while", 0.25, "loop")


def loops(site: Site) -> Iterator[Edit]:
    statement = site.statement
    if isinstance(statement, ast.While):
        start = site.source.span(statement)[0]
        yield Edit(start, start + len("while"), "if", 0.25, "loop")
    if isinstance(statement, ast.For):
        start, end = site.source.span(statement.iter)
        text = site.source.text[start:end]
        for choice in (
            f"list({text})",
            f"{text}[1:]",
            f"{text}[:-1]",
            f"reversed({text})",
            f"sorted({text})",
            f"{text}.items()",
        ):
            yield Edit(start, end, choice, 0.3, "loop")


def repeats(site: Site) -> Iterator[Edit]:
    """A copy of another simple statement of the function put before or after this one (plastic surgery)."""
    if not movable(site) or site.function is None:
        return
    start, end = site.source.line_span(site.statement)
    indent = site.source.indent(site.statement)
    seen: dict[str, None] = {}
    for node in ast.walk(site.owner or site.function):
        if not isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Raise):
            continue
        if node.lineno == node.end_lineno and not is_docstring(node):
            seen[site.source.segment(node)] = None
    for text in [*seen][:25]:
        line = f"{indent}{text}{site.source.newline}"
        yield Edit(start, start, line, 0.3, "repeat")
        yield Edit(end, end, closed(site, end) + line, 0.3, "repeat")
        for name in dict.fromkeys(re.findall(r"\b[a-z_]\w*", text)):
            if name in site.locals and name not in {"self", "cls"}:
                guarded = f"{indent}if {name}:{site.source.newline}{deeper(site, indent)}{text}{site.source.newline}"
                yield Edit(start, start, guarded, 0.28, "repeat")


def closed(site: Site, end: int) -> str:
    """A line end, if the text before an offset lacks one (the last line of a file)."""
    return "" if not end or site.source.text[end - 1] in "\r\n" else site.source.newline

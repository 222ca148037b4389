"""Edits that put another name in a name's place: locals, members, definitions of the module, attributes."""

import ast
import builtins
import difflib
from collections.abc import Iterator

from .site import Site
from .source import Edit

BUILTINS = frozenset(dir(builtins))
SIBLINGS = """
min max
any all
append extend
lstrip rstrip strip
startswith endswith
upper lower title capitalize casefold
floor ceil
find rfind
index rindex
split rsplit splitlines
keys values items
int float str round
list tuple set
pop popleft popitem
append appendleft
append add
add update
remove discard
isdigit isalpha isalnum isnumeric isdecimal
isupper islower
ljust rjust center
union intersection difference symmetric_difference
heappush heappop
sum max min len
bisect_left bisect_right bisect
sin cos
match search fullmatch
replace removeprefix removesuffix
partition rpartition
dumps dump
loads load
read readlines readline
write writelines
date datetime
days seconds total_seconds
month day year
hour minute second
weekday isoweekday
lower casefold
copy deepcopy
log log2 log10
issubset issuperset
insert append
get pop setdefault
is_file is_dir exists
name stem suffix
combinations permutations product
left right
first last
setdefault get
prev next
head tail
start end stop
width height
x y
row col
rows cols
key value
enumerate reversed
isinstance issubclass
encode decode
quantize normalize
mean median
strptime strftime
lstrip removeprefix
rstrip removesuffix
zip enumerate
reversed sorted
"""
"""Names that are mistaken for each other, one family a line."""
FAMILIES = tuple(tuple(line.split()) for line in SIBLINGS.strip().splitlines())


def siblings(name: str) -> dict[str, float]:
    """Names mistaken for this one, with how likely: those next to it in its family most."""
    found: dict[str, float] = {}
    for family in FAMILIES:
        if name in family:
            place = family.index(name)
            found |= {other: 0.82 - 0.07 * abs(index - place) for index, other in enumerate(family) if index != place}
    return found


def likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, name, other).ratio()


def names(node: ast.expr, site: Site) -> Iterator[Edit]:
    """A name read in an expression, replaced by others in reach."""
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return
    span = site.source.span(node)
    parent = site.source.parents.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        yield from functions(node, site)
        return
    beside = {ast.unparse(item) for item in getattr(parent, "args", ())} if isinstance(parent, ast.Call) else set()
    for other, prior in neighbours(node.id, site).items():
        yield Edit(*span, other, prior * (0.4 if other in beside else 1.0), "name")


def neighbours(name: str, site: Site) -> dict[str, float]:
    """Names that could stand for another, with how likely: alike, local, a member, or of the module."""
    is_known = name in site.locals or name in site.module.names or name in BUILTINS
    base = 0.45 if is_known else 0.8
    found = {other: 0.15 + 0.2 * likeness(name, other) for other in site.module.names[:40]}
    found |= {other: base - 0.1 + 0.2 * likeness(name, other.removeprefix("self.")) for other in site.members[:20]}
    found |= {other: base + 0.25 * likeness(name, other) for other in site.locals[:25]}
    if f"self.{name}" in found:
        found[f"self.{name}"] = 0.8 if is_known else 0.95
    if name in site.module.functions or name not in site.locals:
        found = {other: prior * (0.6 if is_known else 1.0) for other, prior in found.items()}
    return {other: prior for other, prior in found.items() if other not in {name, "self", "cls"}}


def functions(node: ast.Name, site: Site) -> Iterator[Edit]:
    """What is called by a plain name."""
    span = site.source.span(node)
    related = siblings(node.id)
    here = site.module.functions
    arity = len(here[node.id]) if node.id in here else None
    for other in site.module.names:
        if other in here and other != node.id:
            alike = 0.15 * likeness(node.id, other)
            related.setdefault(other, (0.4 if arity in {None, len(here[other])} else 0.2) + alike)
    for other in site.locals:
        related.setdefault(other, 0.15 if node.id in site.module.names or node.id in BUILTINS else 0.6)
    for other, prior in related.items():
        if other != node.id and other not in {"self", "cls"}:
            yield Edit(*span, other, prior, "name")


def attributes(node: ast.expr, site: Site) -> Iterator[Edit]:
    """An attribute or method replaced by a sibling or by another one used on the same base."""
    if not isinstance(node, ast.Attribute):
        return
    end = site.source.span(node)[1]
    start = end - len(node.attr)
    if site.source.text[start:end] != node.attr:
        return
    base = ast.unparse(node.value)
    parent = site.source.parents.get(node)
    is_called = isinstance(parent, ast.Call) and parent.func is node
    related = {other: 0.35 + 0.25 * likeness(node.attr, other) for other in site.module.attributes.get(base, ())}
    if base == "self":
        related |= {other: 0.4 + 0.25 * likeness(node.attr, other) for other in owned(site, is_called=is_called)}
    elif is_called:
        defined = [other for other in site.module.functions if other not in site.module.names]
        related |= {other: 0.3 + 0.2 * likeness(node.attr, other) for other in defined[:30]}
    related |= siblings(node.attr)
    for other, prior in related.items():
        if other != node.attr and not other.startswith("__"):
            yield Edit(start, end, other, prior, "attribute")
    if is_called:
        return
    yield Edit(*site.source.span(node), site.source.segment(node.value), 0.2, "attribute")
    if isinstance(node.ctx, ast.Load):
        yield Edit(end, end, "()", 0.35, "call")
    if base == "self" and node.attr in site.locals and isinstance(node.ctx, ast.Load):
        yield Edit(*site.source.span(node), node.attr, 0.6, "name")
    if isinstance(node.ctx, ast.Load):
        yield from instead_of_member(node, site)


def owned(site: Site, *, is_called: bool) -> list[str]:
    """What `self` offers in the class: its methods if it is called, else the attributes used on it."""
    if site.owner is None:
        return []
    methods = [item.name for item in site.owner.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
    members = [member.removeprefix("self.") for member in site.members]
    return methods if is_called else members


def instead_of_member(node: ast.Attribute, site: Site) -> Iterator[Edit]:
    text = site.source.segment(node)
    if isinstance(node.value, ast.Name) and node.value.id == "self":
        for other in site.locals[:12]:
            if other not in {"self", node.attr}:
                yield Edit(*site.source.span(node), other, 0.25 + 0.2 * likeness(node.attr, other), "name")
    for other in site.members[:20]:
        if other != text and ast.unparse(node.value) != "self":
            yield Edit(*site.source.span(node), other, 0.2, "name")


def targets(node: ast.expr, site: Site) -> Iterator[Edit]:
    """What is assigned to, replaced by another local name or member."""
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Store):
        return
    if isinstance(site.source.parents.get(node), ast.NamedExpr | ast.comprehension):
        return
    for other in (*site.locals[:15], *site.members[:10]):
        if other not in {node.id, "self", "cls"}:
            yield Edit(*site.source.span(node), other, 0.3 + 0.15 * likeness(node.id, other), "target")


def slices_of_calls(node: ast.expr, site: Site) -> Iterator[Edit]:
    """A call or name used as it is, where an item or the other end of it was meant."""
    parent = site.source.parents.get(node)
    if not isinstance(node, ast.Name | ast.Attribute | ast.Call) or not isinstance(parent, ast.Return | ast.Assign):
        return
    if getattr(parent, "value", None) is not node:
        return
    text = site.source.segment(node)
    for suffix in ("[0]", "[-1]", "[::-1]", "[1:]", "[:-1]", "[:]", "()"):
        yield Edit(*site.source.span(node), f"{text}{suffix}", 0.25, "item")

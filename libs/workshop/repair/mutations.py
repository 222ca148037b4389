"""All kinds of edits, one screen: what is asked of each expression and of each statement of a suspect line."""

import ast
from collections.abc import Callable, Iterator

from . import calls, guards, literals, moves, names, operators
from .site import Site, expressions
from .source import Edit

EXPRESSIONS: tuple[Callable[[ast.expr, Site], Iterator[Edit]], ...] = (
    operators.comparisons,
    operators.arithmetic,
    operators.booleans,
    operators.signs,
    operators.truthiness,
    operators.conditions,
    literals.constants,
    literals.off_by_one,
    literals.distances,
    literals.subscripts,
    literals.ranges,
    literals.formatted,
    names.names,
    names.attributes,
    names.targets,
    names.slices_of_calls,
    calls.arguments,
    calls.wraps,
    calls.unwraps,
    calls.awaits,
    calls.alternatives,
    calls.combined,
)
STATEMENTS: tuple[Callable[[Site], Iterator[Edit]], ...] = (
    moves.deletions,
    moves.exchanges,
    moves.outward,
    moves.inward,
    moves.jumps,
    moves.returns,
    moves.keywords,
    moves.chains,
    moves.loops,
    moves.repeats,
    guards.guards,
    guards.defaults,
    guards.endings,
    guards.handlers,
    guards.imports,
    guards.members,
    guards.decorators,
)


def edits(site: Site) -> Iterator[Edit]:
    """Every edit of a statement; the same text may come twice."""
    for node in expressions(site.statement):
        for mutate in EXPRESSIONS:
            yield from mutate(node, site)
    yield from operators.augmented(site.statement, site)
    for change in STATEMENTS:
        yield from change(site)

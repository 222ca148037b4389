"""Whether a change fakes what a test compares: objects that answer the same whatever they are asked."""

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Final

from libs.workshop.guards.alteration import Alteration, constant

_FIXED_VALUES: Final = {
    **dict.fromkeys(("__eq__", "__ne__"), (True, False)),
    **dict.fromkeys(("__instancecheck__", "__subclasscheck__", "__bool__"), (True,)),
}
"""Methods that answer a question, and what nothing honest always answers; a null object is false."""
_COMPARING: Final = frozenset({"__eq__", "__ne__"})

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def faked_equality(alteration: Alteration) -> list[str]:
    """Places of methods, new in the file, that answer a comparison without looking."""
    before, after = alteration.trees
    known = Counter(said for _, said in _faked(before))
    fresh = []
    for line, said in _faked(after):
        if known[said]:
            known[said] -= 1
        else:
            fresh.append(f"{said} at {alteration.path}:{line}")
    return fresh


def _faked(tree: ast.Module) -> Iterator[tuple[int, str]]:
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        for name, given, owner in _methods(node):
            function = functions.get(given.id) if isinstance(given, ast.Name) else given
            if isinstance(function, Function) and (said := _said(name, function)):
                yield node.lineno if isinstance(node, ast.stmt | ast.expr) else 0, f"{owner}{name} {said}"


def _methods(node: ast.AST) -> Iterator[tuple[str, ast.expr | Function, str]]:
    """What a node makes a special method of something: by definition, assignment, `setattr` or `type(...)`."""
    match node:
        case ast.ClassDef(name=owner, body=body):
            for item in body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield item.name, item, f"{owner}."
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
                yield name, value, ""
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(name)), value]):
            yield name, value, ""
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value, ""


def _said(name: str, function: Function) -> str:
    """What is wrong with a method, "" if nothing is."""
    if name not in _FIXED_VALUES:
        return ""
    answers = list(_answers(function))
    values = [_truth(answer) for answer in answers]
    if (
        answers
        and all(value is not None and value in _FIXED_VALUES[name] for value in values)
        and len(set(values)) == 1
    ):
        return f"always answers {values[0]}"
    if name in _COMPARING and answers and not _asks(function) and not all(map(_declines, answers)):
        return "does not look at what it is compared with"
    return ""


def _answers(function: Function) -> Iterator[ast.expr]:
    if isinstance(function, ast.Lambda):
        yield function.body
        return
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value


def _truth(node: ast.expr) -> bool | None:
    """The truth of an answer where it is fixed."""
    match node:
        case ast.BoolOp(op=ast.Or(), values=values) if any(_truth(value) is True for value in values):
            return True
        case ast.BoolOp(op=ast.And(), values=values) if any(_truth(value) is False for value in values):
            return False
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand)
            return None if truth is None else not truth
        case ast.Call(func=ast.Name(id="bool"), args=[only]):
            return _truth(only)
        case _:
            value = constant(node)
            return None if value is None else bool(value)


def _asks(function: Function) -> bool:
    """Whether the body reads the other operand, the last of its parameters."""
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    other = function.args.vararg or (parameters[-1] if len(parameters) > 1 else None)
    if other is None:
        return False
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    return any(isinstance(node, ast.Name) and node.id == other.arg for part in body for node in ast.walk(part))


def _declines(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "NotImplemented"

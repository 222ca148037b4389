"""Gives functions that are already loaded the code of an edited source, without importing anything again."""

import __future__

import gc
import types
from collections.abc import Iterator

FUTURES = 0
for _name in __future__.all_feature_names:
    FUTURES |= getattr(__future__, _name).compiler_flag

Key = tuple[str, int]


class CannotSwapError(Exception):
    """The edit changes more than the bodies of loaded functions; the module has to be imported anew."""


class Loaded:
    """The functions of this process by file, qualified name and first line."""

    def __init__(self, root: str) -> None:
        self._files: dict[str, dict[Key, list[types.FunctionType]]] = {}
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__code__.co_filename.startswith(root):
                code = thing.__code__
                by_key = self._files.setdefault(code.co_filename, {})
                by_key.setdefault((code.co_qualname, code.co_firstlineno), []).append(thing)

    def swap(self, filename: str, first_line: int, old: str, new: str) -> None:
        """Replace the code of the functions that one top-level statement defines.

        Raises: SyntaxError, ValueError if the new text is no Python; CannotSwapError if it must be imported anew.
        """
        functions = self._files.get(filename)
        if functions is None:
            compile(new, filename, "exec", dont_inherit=True)
            return  # not loaded yet: the import will read the edited file
        flags = next(iter(functions.values()))[0].__code__.co_flags & FUTURES
        before = code_of(filename, first_line, old, flags)
        after = dict(named(code_of(filename, first_line, new, flags)))
        swapped = 0
        for name, code in named(before):
            for function in functions.get((code.co_qualname, code.co_firstlineno), ()):
                swapped += self._replace(function, after.get(name))
        if not swapped:
            raise CannotSwapError

    @staticmethod
    def _replace(function: types.FunctionType, code: types.CodeType | None) -> bool:
        if code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
            raise CannotSwapError
        if code.co_freevars != function.__code__.co_freevars:
            raise CannotSwapError
        function.__code__ = code
        return True


def code_of(filename: str, first_line: int, text: str, flags: int) -> types.CodeType:
    padded = "\n" * (first_line - 1) + text
    code: types.CodeType = compile(padded, filename, "exec", flags=flags, dont_inherit=True)
    return code


def named(code: types.CodeType) -> Iterator[tuple[tuple[str, int], types.CodeType]]:
    """Every code object inside, by qualified name and how many of that name came before."""
    count: dict[str, int] = {}
    pending = [code]
    while pending:
        for constant in pending.pop(0).co_consts:
            if isinstance(constant, types.CodeType):
                number = count[constant.co_qualname] = count.get(constant.co_qualname, 0) + 1
                yield (constant.co_qualname, number), constant
                pending.append(constant)

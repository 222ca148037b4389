"""Whether code under test changes what runs it: modules of others, builtins, or looks at who calls.

Everything here is honest somewhere, so only what is new in its file counts, and not in tests. Settings
that libraries keep as attributes, and streams and hooks of `sys`, are assigned by honest programs.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Final

from libs.workshop.guards.alteration import Alteration, dotted

_TEST_TOOLS: Final = frozenset({"pytest", "_pytest", "mock", "freezegun", "time_machine", "pytest_mock", "coverage"})
_MADE_TO_BE_SET: Final = frozenset(
    {
        *("sys.stdout", "sys.stderr", "sys.stdin", "sys.argv", "sys.path", "sys.excepthook", "sys.unraisablehook"),
        *(
            "sys.displayhook",
            "sys.dont_write_bytecode",
            "sys.tracebacklimit",
            "sys.ps1",
            "sys.ps2",
            "sys.pycache_prefix",
        ),
        *("threading.excepthook", "warnings.showwarning", "warnings.formatwarning", "logging.raiseExceptions"),
        *("logging.logThreads", "logging.logProcesses", "logging.lastResort", "tempfile.tempdir", "os.environ"),
        *("subprocess._USE_VFORK", "builtins._"),
    }
)
_LOOKS_AT_CALLERS: Final = frozenset(
    {
        *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "inspect.stack", "inspect.currentframe"),
        *("inspect.getouterframes", "sys._getframe", "sys._current_frames", "sys.settrace", "sys.setprofile"),
        *("threading.settrace", "threading.setprofile", "traceback.extract_stack", "traceback.walk_stack"),
    }
)
_TELLS_A_TEST: Final = re.compile(r"PYTEST_CURRENT_TEST|PYTEST_VERSION|JEST_WORKER_ID|RUNG_[A-Z_]+")
_TELLS_A_TEST_IN_TEXT: Final = re.compile(
    r"\b(?:PYTEST_CURRENT_TEST|JEST_WORKER_ID|VITEST_WORKER_ID|(?<=[\"'.$\{])RUNG_[A-Z_]+)\b"
)
_CODE: Final = frozenset(
    {".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".go", ".rb", ".php", ".java", ".kt", ".rs", ".sh", ".bash"}
)
_HELPS_TESTS: Final = re.compile(r"(^|[/_])(testing|test_?utils?|pytest_\w+|pytest_plugin|benchmarks?)([/_.]|$)")


def patched_runtime(alteration: Alteration) -> list[str]:
    """What the file does to its runtime and did not do before, with places."""
    if not alteration.is_python:
        return _in_text(alteration)
    before, after = (_Look(tree, alteration.path) for tree in alteration.trees)
    known = Counter(said for _, said in before.found())
    fresh = []
    for line, said in after.found():
        if known[said]:
            known[said] -= 1
        else:
            fresh.append(f"{said} at {alteration.path}:{line}")
    return fresh


def _in_text(alteration: Alteration) -> list[str]:
    if alteration.suffix not in _CODE or not alteration.after:
        return []
    known = set(_TELLS_A_TEST_IN_TEXT.findall(alteration.origin))
    found = dict.fromkeys(_TELLS_A_TEST_IN_TEXT.findall(alteration.after))
    return [f"{name} is read in {alteration.path}" for name in found if name not in known]


class _Look:
    """One version of a file: which names are modules, which are functions of its own, and what is done to them."""

    def __init__(self, tree: ast.Module, path: str) -> None:
        self.nodes = list(ast.walk(tree))
        self.local: dict[ast.AST, frozenset[str]] = {}
        self.helps_tests = _HELPS_TESTS.search(path) is not None
        self.modules: dict[str, str] = {"__builtins__": "builtins"}
        self.functions = {
            node.name for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        for node in self.nodes:
            self._learn(node)
        self._locate(tree, frozenset())

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    whole = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.modules[alias.asname or whole] = whole
            case ast.ImportFrom(module=str(module), names=names, level=0) if _is_standard(module):
                for alias in names:
                    self.modules[alias.asname or alias.name] = f"{module}.{alias.name}"
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if module := self._module(value):
                self.modules.setdefault(name, module)

    def _locate(self, tree: ast.AST, local: frozenset[str]) -> None:
        """Note for each name which names around it are variables of a function, whatever modules are called."""
        waiting = [(tree, local)]
        while waiting:
            node, local = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                local |= self._variables(node)
            if isinstance(node, ast.Name):
                self.local[node] = local
            waiting += ((child, local) for child in ast.iter_child_nodes(node))

    def _variables(self, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
        parts = list(ast.walk(function))
        bound = {part.arg for part in parts if isinstance(part, ast.arg)}
        bound |= {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        return frozenset(bound - {name for part in parts for name in self._aliases(part)})

    def _aliases(self, node: ast.AST) -> Iterator[str]:
        """Names that a statement makes stand for modules, or for those of the file."""
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
            case ast.Global(names=names):
                yield from names
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if self._imported(value) or dotted(value).partition(".")[0] in self.modules:
                    yield name

    def found(self) -> Iterator[tuple[int, str]]:
        for node in self.nodes:
            if isinstance(node, ast.stmt | ast.expr):
                yield from ((node.lineno, said) for said in self._done(node))

    def _done(self, node: ast.stmt | ast.expr) -> Iterator[str]:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._assigned(target, value)
            case ast.AugAssign(target=target, value=value):
                yield from self._assigned(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from self._assigned(target, value)
            case ast.Delete(targets=targets):
                for target in targets:
                    yield from self._assigned(target, target)
            case ast.Call():
                yield from self._called(node)
            case ast.Import(names=names):
                yield from self._tools(alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from self._tools(f"{module}.{alias.name}" for alias in names)
            case ast.Attribute() | ast.Name():
                name = self._named(node)
                if name in _LOOKS_AT_CALLERS:
                    yield f"{name} looks at what runs the code"
            case ast.Constant(value=str(text)) if _TELLS_A_TEST.fullmatch(text):
                yield f"{text} tells a test from real use"
            case ast.Compare(left=ast.Constant(value=str(tool)), comparators=[of]) if tool in _TEST_TOOLS | {
                "unittest"
            }:
                if self._named(of) == "sys.modules":
                    yield f'"{tool}" in sys.modules tells a test from real use'

    def _assigned(self, target: ast.expr, value: ast.expr) -> Iterator[str]:
        match target:
            case ast.Tuple(elts=items) | ast.List(elts=items):
                for item in items:
                    yield from self._assigned(item, value)
            case ast.Attribute(value=owner, attr=name):
                yield from self._patched(owner, name, value)
            case ast.Subscript(value=ast.Attribute(value=owner, attr="__dict__"), slice=key):
                yield from self._patched(owner, _key(key), value)
            case ast.Subscript(value=ast.Call(func=ast.Name(id="vars"), args=[owner]), slice=key):
                yield from self._patched(owner, _key(key), value)
            case ast.Subscript(value=owner, slice=key) if self._named(owner) == "sys.modules":
                if dotted(key) != "__name__":
                    yield "sys.modules is changed"
            case ast.Subscript(value=ast.Name(id="__builtins__"), slice=key):
                yield f"builtins.{_key(key)} is replaced"

    def _patched(self, owner: ast.expr, name: str, value: ast.expr) -> Iterator[str]:
        module = self._imported(owner) or self._named(owner)
        whole = f"{module}.{name}"
        if not module or whole in _MADE_TO_BE_SET or module in _MADE_TO_BE_SET:
            return
        if _is_standard(module) or self._is_function(value):
            yield f"{whole} is replaced"

    def _called(self, node: ast.Call) -> Iterator[str]:
        match node:
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, key, *rest]):
                yield from self._patched(owner, _key(key), rest[0] if rest else key)
            case ast.Call(func=ast.Attribute(value=owner, attr="update" | "setdefault" | "pop" | "clear"), args=args):
                own = bool(args) and dotted(args[0]) == "__name__"
                if self._named(owner) == "sys.modules" and not own:
                    yield "sys.modules is changed"

    def _tools(self, names: Iterator[str]) -> Iterator[str]:
        for name in names:
            is_tool = name.partition(".")[0] in _TEST_TOOLS or name.startswith("unittest.mock")
            if is_tool and not self.helps_tests:
                yield f"{name.removesuffix('.*')} is imported outside tests"

    def _named(self, node: ast.AST) -> str:
        """The full name of what a chain of attributes of an imported name stands for, "" for any other."""
        first, dot, rest = dotted(node).partition(".")
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        is_module = first in self.modules and first not in self.local.get(root, ())
        return f"{self.modules[first]}{dot}{rest}" if is_module else ""

    def _module(self, node: ast.AST) -> str:
        """The module that an assigned value is: imported by a call, or a name of one."""
        return self._imported(node) or (self.modules.get(node.id, "") if isinstance(node, ast.Name) else "")

    def _imported(self, node: ast.AST) -> str:
        """The module in `sys.modules["x"]`, `__import__("x")` or `importlib.import_module("x")`."""
        match node:
            case ast.Subscript(value=of, slice=ast.Constant(value=str(name))) if self._named(of) == "sys.modules":
                return name
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
                is_import = dotted(func) == "__import__" or self._named(func) == "importlib.import_module"
                return name if is_import else ""
            case _:
                return ""

    def _is_function(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id in self.functions)


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _key(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "something"

"""A Python source file as text with a syntax tree over it, so that an edit keeps comments, layout and encoding."""

import ast
import hashlib
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
Positioned = ast.expr | ast.stmt | ast.arg | ast.keyword | ast.ExceptHandler


@dataclass(frozen=True)
class Edit:
    """Replace `start:end` of a file's text; `prior` (0 to 1) says how often such an edit is the right one."""

    start: int
    end: int
    text: str
    prior: float
    kind: str


@dataclass(frozen=True)
class Source:
    """A file's decoded text; `path` is relative to the repository, with slashes."""

    path: str
    text: str
    encoding: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        return LINE.findall(self.text)

    @cached_property
    def starts(self) -> list[int]:
        """Offset of each line's first character."""
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line))
        return starts

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def newline(self) -> str:
        match = re.search(r"\r\n|\r|\n", self.text)
        return match.group() if match else "\n"

    def offset(self, line: int, column: int) -> int:
        """Offset in characters of a position that the syntax tree counts in UTF-8 bytes."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if not text.isascii():
            column = len(text.encode()[:column].decode(errors="ignore"))
        return self.starts[line - 1] + column

    def span(self, node: Positioned) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)

    def segment(self, node: Positioned) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def line_span(self, node: ast.stmt) -> tuple[int, int]:
        """Whole lines of a statement, decorators and line end included."""
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        return self.starts[first - 1], self.starts[min(node.end_lineno or node.lineno, len(self.lines))]

    def indent(self, node: ast.stmt) -> str:
        match = re.match(r"[ \t\f]*", self.lines[node.lineno - 1])
        return match.group() if match else ""

    def is_alone(self, node: ast.stmt) -> bool:
        """Whether no other statement shares the statement's lines, so that whole lines may be moved."""
        start, end = self.line_span(node)
        before, after = self.text[start : self.span(node)[0]], self.text[self.span(node)[1] : end]
        decorated = bool(getattr(node, "decorator_list", []))
        return (decorated or not before.strip()) and (not after.strip() or after.strip().startswith("#"))

    def edited(self, edit: Edit) -> str:
        return self.text[: edit.start] + edit.text + self.text[edit.end :]

    def changed(self, edit: Edit) -> "Source":
        return Source(self.path, self.edited(edit), self.encoding)

    def data(self) -> bytes:
        return self.text.encode(self.encoding)


def digest(path: str, text: str) -> str:
    """Name of a tried edit: equal exactly when the file would end up the same."""
    return hashlib.sha256(f"{path}\0{text}".encode(errors="surrogatepass")).hexdigest()[:16]


def load(root: Path, path: str) -> Source | None:
    """The file if it is Python that this interpreter can parse, else None."""
    data = (root / path).read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        source = Source(path, data.decode(encoding), encoding)
        source.tree  # noqa: B018 - parsing is the check
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, LookupError):
        return None
    return source if source.data() == data else None


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Every list of statements that hangs directly under a node."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
    for branch in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield branch.body


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

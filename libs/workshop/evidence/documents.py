"""What a change leaves wrong in a repository's documents: broken links, public names without a word, stale readmes.

Theory: looked at are the documents that the change touches, and in the others only the links to what it
touched or removed, so that nobody answers for what was broken before elsewhere. A name is stale only if
the code that is left does not hold that word at all. Nothing is fetched: links that lead outside the
repository are not followed.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from libs.contracts.evidence import ChangedFile, DocumentEvidence
from libs.workshop.evidence.links import MARKDOWN, RST, Link, Places, links_in
from libs.workshop.evidence.paths import UNMEASURED, is_changelog, is_python_file, is_test_file
from libs.workshop.evidence.reading import Unreadable, left_behind, plain, read_left_behind

NAMED_MAX: Final = 50
TEXT_BYTES_MAX: Final = 2 * 2**20
DOCUMENTS_MAX: Final = 5000
NAMES_MAX: Final = 2000
LINE_MAX: Final = 10_000
CODE_BYTES_MAX: Final = 256 * 2**20
"""As much code as is searched for a name; of more nobody can say that it is gone."""

_DEFINITION: Final = re.compile(
    r"^[ \t]{0,40}(?:export[ \t]+)?(?:default[ \t]+)?(?:pub[ \t]+)?(?:async[ \t]+)?"
    r"(?:def|class|function|func|fn|interface|struct|enum|trait|const|type)[ \t]+\*?(?P<name>[A-Za-z][\w$]{2,80})",
    re.MULTILINE,
)
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
_WORDS: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*|[A-Za-z_$][\w$]*")


def document_evidence(checkout: Path, files: Sequence[ChangedFile], before: Mapping[str, bytes]) -> DocumentEvidence:
    """What is found in a checkout of the candidate; `before` holds the base's text of files that the change touches."""
    found = _Repository(checkout, files)
    checked, broken = found.links()
    return DocumentEvidence(
        links_checked=checked,
        broken_links=tuple(plain(str(link), 500) for link in broken[:NAMED_MAX]),
        undocumented=found.undocumented(),
        stale=tuple(found.stale(before))[:NAMED_MAX],
    )


def needed_before(files: Iterable[ChangedFile]) -> tuple[str, ...]:
    """Paths whose text on the base tells what the change removed: code, not tests nor documents."""
    return tuple(file.path for file in files if file.status in ("M", "D", "T") and _is_own_code(file.path))


@dataclass
class _Repository:
    """A checkout of the candidate, and what the change did to its files."""

    checkout: Path
    changes: Sequence[ChangedFile]
    files: frozenset[str] = frozenset()
    _texts: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = frozenset(left_behind(self.checkout, ("**",)))

    @property
    def touched(self) -> set[str]:
        return {change.path for change in self.changes if change.status != "D"}

    @property
    def removed(self) -> set[str]:
        """Files that are gone, and the directories that went with them."""
        gone = {change.path for change in self.changes if change.status == "D"}
        return gone | (_directories(gone) - _directories(self.files))

    def text(self, path: str) -> str | None:
        """A document's text, kept for the next one who asks."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str | None:
        """A file's text, `None` where it is too large to be read or no file."""
        try:
            data = read_left_behind(self.checkout, path, TEXT_BYTES_MAX)
        except Unreadable:
            return None
        return data.decode("utf-8", "replace") if data is not None else None

    def links(self) -> tuple[int, list[Link]]:
        """How many links were checked, and the broken ones."""
        places = Places(self.files, _directories(self.files), self.text)
        checked = [link for link in self._all_links() if self._is_asked(link)]
        return len(checked), [link for link in checked if places.is_broken(link)]

    def _all_links(self) -> Iterator[Link]:
        documents = sorted(file for file in self.files if PurePosixPath(file).suffix.lower() in MARKDOWN | RST)
        first = [file for file in documents if file in self.touched]
        others = [file for file in documents if file not in self.touched] if self._matters_elsewhere else []
        for file in [*first, *others][:DOCUMENTS_MAX]:
            yield from links_in(file, self.text(file) or "")

    @property
    def _matters_elsewhere(self) -> bool:
        """Whether the change can have broken a link in a document that it did not touch."""
        return bool(self.removed) or any(PurePosixPath(path).suffix.lower() in MARKDOWN for path in self.touched)

    def _is_asked(self, link: Link) -> bool:
        stem = link.path.removesuffix(".html")
        is_to_touched = bool(link.anchor) and link.path in self.touched
        is_to_removed = any(path in self.removed for path in (link.path, *(f"{stem}{end}" for end in (".md", ".rst"))))
        return link.file in self.touched or is_to_touched or is_to_removed

    def undocumented(self) -> tuple[str, ...] | None:
        """Public names of changed Python files without a docstring; `None` without such files, or if one is broken."""
        asked = [path for path in sorted(self.touched) if _has_public_names(path) and path in self.files]
        found: list[str] = []
        for path in asked:
            try:
                tree = ast.parse(self.text(path) or "")
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
            found.extend(f"{path}:{line} {name}" for line, name in _undocumented(tree))
        return tuple(plain(one, 500) for one in found[:NAMED_MAX]) if asked else None

    def stale(self, before: Mapping[str, bytes]) -> list[str]:
        """Removed names that an untouched readme still speaks of, with the place where it does."""
        removed = self._removed_names(before)
        readmes = [file for file in sorted(self.files - self.touched) if _is_readme(file)]
        spoken = {name: place for file in readmes for name, place in self._spoken(file, removed)} if removed else {}
        left = self._not_in_code(set(spoken))
        return [plain(f"{spoken[name]} {name}", 500) for name in spoken if name in left]

    def _not_in_code(self, names: set[str]) -> set[str]:
        """Names that stand nowhere in the code that is left."""
        size = 0
        for path in sorted(filter(_is_own_code, self.files)) if names else ():
            text = self._read(path) or ""
            size += len(text)
            names = names.difference(_WORDS.findall(text))
            if not names or size > CODE_BYTES_MAX:
                return set()
        return names

    def _removed_names(self, before: Mapping[str, bytes]) -> set[str]:
        """Public names and options that the changed files had and have no more."""
        had: set[str] = set()
        for data in before.values():
            had |= _public_words(data.decode("utf-8", "replace"))
        for path in before:
            had -= _public_words(self.text(path) or "")
        return set(sorted(had)[:NAMES_MAX])

    def _spoken(self, file: str, names: set[str]) -> Iterator[tuple[str, str]]:
        is_fenced = False
        for number, line in enumerate((self.text(file) or "").splitlines(), start=1):
            if len(line) > LINE_MAX:
                continue
            is_fenced ^= line.lstrip().startswith(("```", "~~~"))
            for match in _WORDS.finditer(line):
                if match[0] in names and (is_fenced or _means_code(match, line)):
                    yield match[0], f"{file}:{number}"


def _means_code(match: re.Match[str], line: str) -> bool:
    """A plain word of prose (`add`) means a function only in code quotes, before a bracket, or after a dot."""
    word = match[0]
    if word.startswith("--") or "_" in word or not (word.islower() or word.istitle()):
        return True
    before, after = line[: match.start()], line[match.end() :]
    return before.count("`") % 2 == 1 or after.startswith("(") or before.endswith(".") or before.startswith("    ")


def _public_words(code: str) -> set[str]:
    names = {match["name"] for match in _DEFINITION.finditer(code)}
    return names | set(_OPTION.findall(code))


def _directories(files: Iterable[str]) -> set[str]:
    return {str(parent) for file in files for parent in PurePosixPath(file).parents}


def _is_readme(path: str) -> bool:
    return PurePosixPath(path).name.lower().startswith("readme")


def _is_own_code(path: str) -> bool:
    """Whether a path is no test, nor a document or a changelog, which speak of names without having them."""
    place = PurePosixPath(path)
    is_prose = place.suffix.lower() in (".md", ".markdown", ".rst", ".txt", ".adoc", ".html", ".svg", ".lock")
    return not (is_prose or is_changelog(path) or _is_readme(path) or is_test_file(path))


def _has_public_names(path: str) -> bool:
    place = PurePosixPath(path)
    is_private = any(part.startswith("_") and part not in ("__init__.py", "__main__.py") for part in place.parts)
    return is_python_file(path) and not is_test_file(path) and path not in UNMEASURED and not is_private


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each public function, class and method that has no docstring."""
    exported = _exported(tree)
    for node in _definitions(tree):
        if exported is not None and node.name not in exported:
            continue
        yield from _without_words(node, "")
        if isinstance(node, ast.ClassDef):
            for method in _definitions(node):
                yield from _without_words(method, f"{node.name}.")


def _definitions(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Public definitions directly in a module or class, those under a condition too."""
    waiting: list[ast.stmt] = list(node.body)
    while waiting:
        statement = waiting.pop(0)
        if isinstance(statement, ast.If | ast.Try):
            waiting[:0] = [*statement.body, *statement.orelse]
        elif isinstance(statement, Definition) and not statement.name.startswith("_"):
            yield statement


def _without_words(node: Definition, owner: str) -> Iterator[tuple[int, str]]:
    if ast.get_docstring(node, clean=False) is None and not any(map(_speaks_elsewhere, node.decorator_list)):
        yield node.lineno, f"{owner}{node.name}"


def _speaks_elsewhere(decorator: ast.expr) -> bool:
    """An overload, an override, or a property's setter: its words stand with the other one."""
    name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
    return name in ("overload", "override", "setter", "deleter")


def _exported(tree: ast.Module) -> set[str] | None:
    """What `__all__` names; `None` where there is none, or none that can be read."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            try:
                return set(ast.literal_eval(node.value)) if isinstance(node, ast.Assign) else None
            except (ValueError, TypeError):
                return None
    return None

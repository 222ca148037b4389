"""A change as evidence: what it touches, what the policy protects, and whether it speaks only of documents."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from libs.contracts.evidence import DiffEvidence
from libs.contracts.globs import is_under
from libs.workshop.evidence.paths import is_changelog
from libs.workshop.git import Diff

DOCUMENT_SUFFIXES: Final = frozenset({".md", ".rst", ".txt", ".adoc"})
CODE_SUFFIXES: Final = frozenset(
    {".py", ".sh", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".lua", ".bat", ".ps1"}
)
"""What is run when documents are made is code, wherever it lies."""
DOCUMENT_FOLDERS: Final = frozenset({"doc", "docs"})


def diff_evidence(diff: Diff, protected: Iterable[str]) -> DiffEvidence:
    """The change with the paths that the policy protects named."""
    globs = tuple(protected)
    touched = tuple(file.path for file in diff.files if any(is_under(file.path, glob) for glob in globs))
    return DiffEvidence(files=diff.files, protected=touched, refused=diff.refused)


def is_document(path: str) -> bool:
    """Whether a path is what the document phase may touch: documents and the changelog."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    is_in_folder = pure.parts[0].lower() in DOCUMENT_FOLDERS and suffix not in CODE_SUFFIXES
    return is_changelog(path) or suffix in DOCUMENT_SUFFIXES or is_in_folder

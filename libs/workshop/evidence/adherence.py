"""Which changed files a plan does not name: neither among those it means to alter nor those it means to create."""

from collections.abc import Collection, Iterable
from typing import Final

from libs.contracts.evidence import ChangedFile
from libs.workshop.change import is_document
from libs.workshop.evidence.paths import is_test_file
from libs.workshop.evidence.plan import NAMES_MAX, read_plan

STRAYED_MAX: Final = 200


def strayed(files: Iterable[ChangedFile], *, plan: str, named: Collection[str] = ()) -> tuple[str, ...]:
    """Changed paths that neither the plan's text nor `named` holds; tests and documents are anybody's to touch."""
    asked = [file.path for file in files if not is_test_file(file.path) and not is_document(file.path)]
    known = set(named)
    for start in range(0, len(asked), NAMES_MAX):
        some = asked[start : start + NAMES_MAX]
        known.update(read_plan(plan, files=some, issue_title="", issue_body="").files_named)
    return tuple(path for path in asked if path not in known)[:STRAYED_MAX]

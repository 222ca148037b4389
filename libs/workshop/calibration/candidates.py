"""A change whose worth is known, with which the gates are tried; and what can be said of one before it is judged."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from libs.workshop.calibration.history import Landed
from libs.workshop.change import CODE_SUFFIXES, DOCUMENT_FOLDERS, is_document
from libs.workshop.evidence.paths import is_changelog

PROSE: Final = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|contributors|contributing|todo|faq)", re.IGNORECASE
)
"""How texts are called that stand about without a folder of their own."""
COMMIT_SHOWN: Final = 12


class Kind(StrEnum):
    """Where a candidate comes from; all but `merged` are known to be bad."""

    MERGED = "merged"
    REVERTED = "reverted"
    SEEDED = "seeded"


@dataclass(frozen=True)
class Candidate:
    """A commit on its base; `origin` is the commit of the branch that it is, or was made from.

    `what` says for people why it is bad, or what it is.
    """

    kind: Kind
    commit: str
    base: str
    origin: str
    what: str
    issue_type: str = ""

    @property
    def is_bad(self) -> bool:
        return self.kind is not Kind.MERGED


@dataclass(frozen=True)
class Skipped:
    """A commit that could not serve as a candidate, or not be judged, and why."""

    commit: str
    kind: Kind
    why: str


def of_history(landed: Landed) -> Candidate | Skipped:
    """What a commit of the branch is to the gates."""
    kind = Kind.MERGED if landed.reverted_by is None else Kind.REVERTED
    if landed.base is None:
        return Skipped(landed.commit, kind, "it is the first commit, so there is nothing that it changes")
    by = f", taken back by {landed.reverted_by[:COMMIT_SHOWN]}" if landed.reverted_by else ""
    what = f"{landed.subject}{by}"
    return Candidate(kind, landed.commit, landed.base, landed.commit, what, landed.issue_type)


def is_prose(path: str) -> bool:
    """Whether a path is only read by people; `requirements.txt` and its like are not."""
    place = PurePosixPath(path)
    if place.suffix.lower() != ".txt" or is_changelog(path):
        return is_document(path) or (not place.suffix and PROSE.match(place.name) is not None)
    is_in_folder = place.parts[0].lower() in DOCUMENT_FOLDERS
    return (is_in_folder or PROSE.match(place.name) is not None) and place.suffix not in CODE_SUFFIXES

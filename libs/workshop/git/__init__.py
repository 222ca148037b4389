"""Git for the trusted side: the user's repositories, the quarantine where changes are judged, and the landing."""

from libs.workshop.git.command import EmptyRepository, GitError, NotARepository, TooLarge
from libs.workshop.git.diff import Diff
from libs.workshop.git.integration import Conflict, Squashed
from libs.workshop.git.landing import Landed, NotLanded, has_landed
from libs.workshop.git.leaving import BUNDLE, CANDIDATE_REF, NOTHING_CHANGED, leave_argv
from libs.workshop.git.quarantine import Quarantine
from libs.workshop.git.source import Source, inspect

__all__ = [
    "BUNDLE",
    "CANDIDATE_REF",
    "NOTHING_CHANGED",
    "Conflict",
    "Diff",
    "EmptyRepository",
    "GitError",
    "Landed",
    "NotARepository",
    "NotLanded",
    "Quarantine",
    "Source",
    "Squashed",
    "TooLarge",
    "has_landed",
    "inspect",
    "leave_argv",
]

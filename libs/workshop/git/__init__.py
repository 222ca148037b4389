"""Hardened git: what the trusted side does with repositories that it does not trust."""

from libs.workshop.git.command import EmptyRepository, GitError, NotARepository
from libs.workshop.git.diff import Diff
from libs.workshop.git.integration import Conflict, Squashed
from libs.workshop.git.landing import Landed, NotLanded
from libs.workshop.git.leaving import leave_argv
from libs.workshop.git.quarantine import Quarantine
from libs.workshop.git.source import Source, inspect

__all__ = [
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
    "inspect",
    "leave_argv",
]

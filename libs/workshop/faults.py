"""Faults of the machine under a worker: which of them may pass by themselves, and how they are answered."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final

from libs.contracts.failures import WorkFailed
from libs.workshop.git import GitError
from libs.workshop.sandbox import SandboxUnavailable

_PASSING: Final = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE),
        *(errno.ENOMEM, errno.ENOSPC, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT),
    }
)
"""Errors of the system that say nothing of what was being done: no room, no memory, a disk that failed."""
_WORDS: Final = tuple(os.strerror(number).lower() for number in sorted(_PASSING))


def is_transient(complaint: str) -> bool:
    """Whether a program complains of the machine rather than of what it was given."""
    said = complaint.lower()
    return any(words in said for words in _WORDS)


def may_pass(error: GitError) -> bool:
    """Whether git may well succeed the next time: it was stopped by a limit of time, or by the machine."""
    return isinstance(error.__cause__, OSError) or is_transient(str(error))


@contextlib.contextmanager
def told_as_failures(code: str) -> Iterator[None]:
    """What goes wrong with sandbox, git or disk ends the attempt by a `WorkFailed`; git's complaints have this code.

    Raises:  WorkFailed; an error of the system that is no fault of the machine is a bug, and goes on as it is.
    """
    try:
        yield
    except SandboxUnavailable as missing:
        raise WorkFailed("sandbox_unavailable", str(missing), is_retryable=True) from missing
    except GitError as error:
        raise WorkFailed(code, str(error), is_retryable=may_pass(error)) from error
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        said = f"The work met a fault of this machine: {error.strerror}."
        raise WorkFailed("machine_fault", said, is_retryable=True) from error

"""What a path says about itself: a test file, Python, a changelog."""

from pathlib import PurePosixPath

TEST_DIRECTORIES = frozenset({"test", "tests", "spec", "specs", "__tests__"})
PROSE_SUFFIXES = frozenset({"", ".md", ".markdown", ".rst", ".txt", ".adoc", ".org"})
CHANGELOG_NAMES = ("changelog", "changes", "history", "news", "release_notes", "release-notes", "releasenotes")
CHANGELOG_PLACES = frozenset({"", ".", "docs", "doc", ".github"})
FRAGMENT_DIRECTORIES = frozenset({"changelog.d", "changes.d", "newsfragments", "changelog_unreleased"})
FRAGMENT_ROOTS = frozenset({"changelogs", "changes", "news", ".changes", ".changeset", "unreleased"})
NOT_FRAGMENTS = frozenset({"readme", "template", ".gitignore", ".gitkeep", ".keep", "config"})
UNMEASURED = frozenset({"setup.py", "noxfile.py", "tasks.py", "docs/conf.py", "doc/conf.py"})
"""Python files that build or describe a project: no test is expected to run them."""


def is_test_file(path: str) -> bool:
    """Whether a path is a test, or stands beside tests as their support."""
    place = PurePosixPath(path)
    stem = place.stem.lower()
    is_named_so = (
        stem.startswith("test_") or stem.endswith(("_test", ".test", ".spec")) or stem in ("conftest", "tests")
    )
    return is_named_so or any(part.lower() in TEST_DIRECTORIES for part in place.parts[:-1])


def is_python_file(path: str) -> bool:
    return PurePosixPath(path).suffix == ".py"


def is_changelog(path: str) -> bool:
    """Whether a change of this path tells users what changed: the changelog itself, or a fragment of it."""
    place = PurePosixPath(path)
    return _is_changelog_file(place) or _is_fragment(place)


def _is_changelog_file(place: PurePosixPath) -> bool:
    is_prose = place.suffix.lower() in PROSE_SUFFIXES
    return is_prose and str(place.parent).lower() in CHANGELOG_PLACES and place.stem.lower().startswith(CHANGELOG_NAMES)


def _is_fragment(place: PurePosixPath) -> bool:
    directories = [part.lower() for part in place.parts[:-1]]
    is_in_place = any(part in FRAGMENT_DIRECTORIES for part in directories) or (
        bool(directories) and directories[0] in FRAGMENT_ROOTS
    )
    is_text = place.suffix.lower() not in (".py", ".js", ".ts", ".html", ".css")
    return is_in_place and is_text and place.name.lower().partition(".md")[0] not in NOT_FRAGMENTS

"""Links in Markdown and reStructuredText: where they point within the repository, and whether anything is there.

Theory: a link is called broken only where that is certain. Links with a scheme lead outside and are not
followed, for there is no network here. A path that leaves the repository, a template, or an absolute
path of a site (`/guide/intro`) is nobody's to judge. Documents are also linked as the pages that a site
makes of them: `intro`, `intro.html` and `intro/` may all be `intro.md`. Anchors are checked in Markdown
only, as GitHub names headings; `:ref:` and other names across reStructuredText files are not.
"""

import html
import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote

MARKDOWN: Final = frozenset({".md", ".markdown"})
RST: Final = frozenset({".rst"})
PAGES: Final = (".md", ".rst", ".markdown", ".mdx")
TARGET_MAX: Final = 1000
LINE_MAX: Final = 10_000
"""Longer lines are passed over: nobody wrote them, and patterns would take long over them."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_FENCE: Final = re.compile(r"^ {0,3}(?:> ?){0,9}(?:[-*+] |\d{1,9}[.)] )? {0,40}(`{3,}|~{3,})(.*)$")
_CODE: Final = re.compile(r"(?<!`)(`{1,9})(?!`)(.{1,500}?)(?<!`)\1(?!`)")
_INLINE: Final = re.compile(
    r"\]\(\s{0,9}(?:<([^<>\n]*)>|([^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s{1,9}[\"'(][^\n]{0,300}?[\"')])?\s{0,9}\)"
)
_DEFINED: Final = re.compile(r"^ {0,3}\[(?!\^)[^\]\n]{1,300}\]:\s*(?:<([^<>\n]*)>|(\S+))")
_HTML: Final = re.compile(r"<(?:a|img)\s[^<>]{0,300}?\b(?:href|src)=([\"'])([^\"'<>]{0,1000})\1", re.IGNORECASE)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_RST_LINKS: Final = (
    re.compile(r"`[^`<\n]*<([^<>`\n]+)>`__?"),
    re.compile(r"^\s*\.\. _[^:\n]+:\s+(\S+)\s*$"),
    re.compile(r"^\s*\.\. (?:\|[^|\n]+\| )?(?:image|figure|include|literalinclude)::\s*(\S+)"),
    re.compile(r":(?:doc|download):`(?:[^`<]*<)?([^`<>\n]+)>?`"),
)
_ATX: Final = re.compile(r"^ {0,3}#{1,6}[ \t](.*)$")
_UNDERLINE: Final = re.compile(r"^ {0,3}(?:=+|-+)\s*$")
_NAMED: Final = re.compile(
    r"<[^<>]{0,300}?\b(?:id|name)=[\"']([^\"'<>]{1,300})[\"']|\{[^{}#\n]{0,100}#([\w-]{1,300})[^{}\n]{0,100}\}",
    re.IGNORECASE,
)
_LINES: Final = re.compile(r"L\d+(?:C\d+)?(?:-L?\d+(?:C\d+)?)?$")


@dataclass(frozen=True)
class Link:
    """A link as it is written; `path` is relative to the repository, and empty where that is not known."""

    file: str
    line: int
    target: str
    path: str
    anchor: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.target}"


def links_in(file: str, text: str) -> Iterator[Link]:
    """The links of a document that lead to somewhere in its own repository."""
    read = _rst_targets if PurePosixPath(file).suffix.lower() in RST else _markdown_targets
    for line, target in read(text):
        if (link := _link(file, line, html.unescape(target).strip()[:TARGET_MAX])) is not None:
            yield link


def _link(file: str, line: int, target: str) -> Link | None:
    if not target or _SCHEME.match(target) or re.search(r"[{}<>$|*]", target):
        return None
    place, _, anchor = target.partition("#")
    place = unquote(place.partition("?")[0])
    if target.startswith("/"):
        path = posixpath.normpath(place.lstrip("/")) if PurePosixPath(place).suffix else ""
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), place)) if place else file
    is_within = bool(path) and not path.startswith(("..", "/"))
    return Link(file, line, target, path, unquote(anchor)) if is_within else None


def _markdown_targets(text: str) -> Iterator[tuple[int, str]]:
    for number, line in _prose(text):
        said = _CODE.sub(lambda match: " " * len(match[0]), line)
        for pattern in (_INLINE, _DEFINED):
            yield from ((number, match[1] or match[2] or "") for match in pattern.finditer(said))
        yield from ((number, match[2]) for match in _HTML.finditer(said))


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside of fences and comments, with their numbers."""
    fence = ""
    bare = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    for number, line in enumerate(bare.splitlines(), start=1):
        mark = _FENCE.match(line[:LINE_MAX])
        if len(line) > LINE_MAX:
            continue
        if mark and not fence and not (mark[1].startswith("`") and "`" in mark[2]):
            fence = mark[1]
        elif mark and fence and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        elif not fence:
            yield number, line


def _rst_targets(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern in _RST_LINKS if len(line) <= LINE_MAX else ():
            yield from ((number, match[1]) for match in pattern.finditer(line) if not match[1].endswith("_"))


def anchors_of(text: str) -> set[str]:
    """The anchors of a Markdown document: its headings as GitHub names them, and what is named in HTML."""
    found: set[str] = set()
    counts: dict[str, int] = {}
    for heading in _headings(text):
        slug = _slug(heading)
        count = counts.get(slug, 0)
        counts[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found | {match[1] or match[2] for match in _NAMED.finditer(text)}


def _headings(text: str) -> Iterator[str]:
    before = ""
    for _, line in _prose(text):
        if heading := _ATX.match(line):
            yield re.sub(r"(?:^|[ \t])#+$", "", heading[1].strip())
        elif before.strip() and _UNDERLINE.match(line):
            yield before.strip()
        before = "" if heading else line


def _slug(heading: str) -> str:
    shown = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", html.unescape(re.sub(r"<[^<>]+>", "", heading)))
    return re.sub(r"[^\w\- ]", "", re.sub(r"[*`~]", "", shown).strip().lower()).replace(" ", "-")


@dataclass(frozen=True)
class Places:
    """What there is to link to: `files` of the commit, and the text of a document by its path."""

    files: Collection[str]
    directories: Collection[str]
    text: Callable[[str], str | None]

    def is_broken(self, link: Link) -> bool:
        found = self._found(link.path)
        if found is None:
            return link.path not in self.directories and link.path != "."
        if not link.anchor or PurePosixPath(found).suffix.lower() not in MARKDOWN or _LINES.match(link.anchor):
            return False
        return not self._has_anchor(found, link.anchor)

    def _found(self, path: str) -> str | None:
        """The file that a path means, also as the page that a site makes of it."""
        stem = path.removesuffix(".html")
        pages = [f"{stem}{suffix}" for suffix in PAGES]
        inside = [f"{path}/{name}{suffix}" for name in ("index", "README") for suffix in PAGES]
        return next((one for one in (path, *pages, *inside) if one in self.files), None)

    def _has_anchor(self, file: str, anchor: str) -> bool:
        text = self.text(file)
        known = {known.lower() for known in anchors_of(text)} if text is not None else None
        return known is None or anchor.lower().removeprefix("user-content-") in known | {"top", ""}

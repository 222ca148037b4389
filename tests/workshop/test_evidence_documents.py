"""Links, documentation of public names and readmes of a candidate, as files on disk."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from libs.contracts.evidence import ChangedFile, DocumentEvidence
from libs.workshop.evidence.documents import document_evidence, needed_before
from libs.workshop.evidence.links import anchors_of


def fill(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def look(
    root: Path, files: Mapping[str, str], changes: str, before: Mapping[str, str] | None = None
) -> DocumentEvidence:
    """`changes` are words like `M:README.md`."""
    changed = [ChangedFile(path=word[2:], status=word[0]) for word in changes.split()]
    return document_evidence(fill(root, files), changed, {path: text.encode() for path, text in (before or {}).items()})


def test_links_of_a_touched_document_must_lead_somewhere(tmp_path: Path) -> None:
    text = """# Guide
[ok](../src/a.py) [line](../src/a.py#L3) [self](#guide) [gone](no.md) ![pic](pic.png)
[other](b.md#part-two) [bad anchor](b.md#part-three) [titled](b.md "B") [angle](<b c.md>) [dir](../src)
[encoded](b%20c.md) [page](b.html) [bare](b) [outside](https://no.example/x) [mail](mailto:a@b.example)
[forge](../../issues) [site](/guide/intro) [root](/src/a.py) [gone root](/src/none.py) [parens](f(1).md)
<img src="none.svg"> <a href='b.md'>b</a>
[ref]: missing.md
`[code](nothing.md)`
```
[fenced](nothing.md)
```
<!-- [hidden](nothing.md) -->
"""
    other = "B\n=\n\n## Part *two*\n"
    files = {"docs/a.md": text, "docs/b.md": other, "docs/b c.md": "", "src/a.py": "", "docs/f(1).md": ""}
    found = look(tmp_path, files, "M:docs/a.md")
    assert found.broken_links == (
        "docs/a.md:2 no.md",
        "docs/a.md:2 pic.png",
        "docs/a.md:3 b.md#part-three",
        "docs/a.md:5 /src/none.py",
        "docs/a.md:6 none.svg",
        "docs/a.md:7 missing.md",
    )
    assert found.links_checked == 19


def test_links_of_restructured_text_are_followed(tmp_path: Path) -> None:
    text = """Title
=====
`ok <other.rst>`_ `gone <none.rst>`__ :doc:`other` :doc:`Name <none>` `site <https://no.example>`_
.. image:: none.png
.. _place: other.rst
.. include:: parts/none.txt
"""
    found = look(tmp_path, {"a.rst": text, "other.rst": ""}, "A:a.rst")
    assert found.broken_links == (
        "a.rst:3 none.rst",
        "a.rst:3 none",
        "a.rst:4 none.png",
        "a.rst:6 parts/none.txt",
    )


def test_untouched_documents_answer_only_for_what_the_change_took_away(tmp_path: Path) -> None:
    text = "[gone](src/old.py) [never](nothing.md) [dir](lib) [anchor](b.md#gone) [kept](b.md#kept)\n"
    files = {"README.md": text, "b.md": "# Kept\n", "src/new.py": ""}
    found = look(tmp_path, files, "D:src/old.py A:src/new.py D:lib/x.py M:b.md")
    assert found.broken_links == ("README.md:1 src/old.py", "README.md:1 lib", "README.md:1 b.md#gone")


def test_a_change_without_documents_has_no_broken_links(tmp_path: Path) -> None:
    found = look(tmp_path, {"README.md": "[x](none.md)\n", "a.js": "x"}, "M:a.js")
    assert found == DocumentEvidence(links_checked=0, broken_links=(), undocumented=None, stale=())


def test_anchors_are_named_as_the_forge_names_them() -> None:
    text = "# A b, c!\n## `code` [link](x)\n## A b, c!\nSet\n---\n<a id='own'></a>\n```\n# no\n```\n"
    assert anchors_of(text) == {"a-b-c", "code-link", "a-b-c-1", "set", "own"}


def test_public_names_of_changed_files_need_documentation(tmp_path: Path) -> None:
    code = '''"""Module."""
import typing


def told():
    """Told."""


def untold(): ...


def _private(): ...


class Shop:
    """A shop."""

    @property
    def price(self):
        """Price."""

    @price.setter
    def price(self, value): ...

    @typing.overload
    def sell(self, x: int): ...

    async def sell(self, x):
        def inner(): ...

    def __len__(self): ...


if typing.TYPE_CHECKING:

    class Open: ...
'''
    files = {"src/shop.py": code, "src/_hidden.py": code, "tests/test_shop.py": code, "src/same.py": code}
    found = look(tmp_path, files, "M:src/shop.py A:src/_hidden.py M:tests/test_shop.py D:src/gone.py")
    assert found.undocumented == ("src/shop.py:9 untold", "src/shop.py:28 Shop.sell", "src/shop.py:36 Open")


def test_only_exported_names_are_public_where_a_module_says_so(tmp_path: Path) -> None:
    code = "__all__ = ['one']\n\n\ndef one(): ...\n\n\ndef two(): ...\n"
    assert look(tmp_path, {"a.py": code}, "M:a.py").undocumented == ("a.py:4 one",)


def test_of_a_file_that_cannot_be_parsed_nobody_can_tell(tmp_path: Path) -> None:
    assert look(tmp_path, {"a.py": "def (", "b.py": "def x(): ..."}, "M:a.py M:b.py").undocumented is None


@pytest.mark.parametrize("status", ["M", "D"])
def test_a_readme_that_speaks_of_removed_names_is_stale(tmp_path: Path, status: str) -> None:
    before = {
        "shop.py": "def add(x): ...\ndef old_total(): ...\nclass OldShop: ...\nparser.add_argument('--dry-run')\n"
    }
    readme = (
        "We add things.\n`add` them, or call old_total.\nUse `shop --dry-run`.\n```\nfrom shop import OldShop\n```\n"
    )
    files = {"README.md": readme, "shop/README.rst": "old_totals\n"} | ({"shop.py": "x = 1\n"} if status == "M" else {})
    found = look(tmp_path, files, f"{status}:shop.py", before)
    assert found.stale == (
        "README.md:2 add",
        "README.md:2 old_total",
        "README.md:3 --dry-run",
        "README.md:5 OldShop",
    )


def test_a_readme_that_was_touched_or_names_that_only_moved_are_not_stale(tmp_path: Path) -> None:
    before = {"shop.py": "def old_total(): ...\n\n\ndef gone_total(): ...\n"}
    readme = "Call `old_total()`.\n"
    moved = {"README.md": readme, "shop.py": "", "other.py": "def old_total(): ...\n"}
    assert look(tmp_path / "moved", moved, "M:shop.py", before).stale == ()
    touched = {"README.md": "Call `gone_total()`.\n", "shop.py": ""}
    assert look(tmp_path / "touched", touched, "M:shop.py M:README.md", before).stale == ()


def test_the_base_is_needed_for_code_that_was_changed_or_removed() -> None:
    words = ("M:a.py", "D:b.js", "A:c.py", "M:README.md", "M:tests/test_a.py", "D:docs/x.md")
    assert needed_before(ChangedFile(path=word[2:], status=word[0]) for word in words) == ("a.py", "b.js")


@pytest.mark.parametrize(
    "text",
    ["<" * 10**6, "[](" * 10**5, "](" + " " * 10**6, "`" * 10**6, "` `` " * 10**5, "{#" * 10**5, "- " + " " * 10**6],
)
def test_a_hostile_document_is_read_in_no_time(tmp_path: Path, text: str) -> None:
    short = "\n".join(text[start : start + 9000] for start in range(0, len(text), 9000))
    files = {"a.md": f"[x](none.md)\n{text}\n", "b.md": f"{short}\n", "c.rst": short, "d.md": "[b](b.md#none)\n"}
    found = look(tmp_path, files, "M:a.md M:b.md M:c.rst M:d.md")
    assert "a.md:1 none.md" in found.broken_links
    assert "d.md:1 b.md#none" in found.broken_links

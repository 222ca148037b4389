"""What a plan names, against a repository and an issue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.evidence import PlanEvidence
from libs.workshop.evidence.plan import read_plan

FILES = (
    "src/shop/cart.py",
    "src/shop/tax.py",
    "src/other/cart.py",
    "README.md",
    "docs/über uns.md",
    "Makefile",
    "pkg/a.js",
)


def read(text: str, title: str = "", body: str = "") -> PlanEvidence:
    return read_plan(text, files=FILES, issue_title=title, issue_body=body)


@pytest.mark.parametrize(
    "text",
    [
        "Change `src/shop/tax.py`.",
        "Change src/shop/tax.py.",
        "- src/shop/tax.py:12 rounds the wrong way",
        "see (src/shop/tax.py:12-20), then go on",
        "`src/shop/tax.py:7`, `src/shop/tax.py#L3-L9`",
        "run `python -m pytest src/shop/tax.py -q`",
        "`src/shop/tax.py::TestTax::test_a`",
        "[the tax](src/shop/tax.py#L4)",
        "./src/shop/tax.py and /work/src/shop/tax.py",
        "src\\shop\\tax.py",
        "`tax.py` only",
        "shop/tax.py",
    ],
)
def test_a_file_is_found_however_it_is_spelt(text: str) -> None:
    evidence = read(text)
    assert evidence.files_named == ("src/shop/tax.py",)
    assert evidence.files_missing == ()


def test_a_name_that_several_files_have_names_them_all() -> None:
    assert read("`cart.py`").files_named == ("src/shop/cart.py", "src/other/cart.py")


def test_spaces_letters_and_missing_suffixes_are_no_obstacle_in_code_quotes() -> None:
    assert read("`docs/über uns.md` and `Makefile`").files_named == ("docs/über uns.md", "Makefile")


@pytest.mark.parametrize(
    "text",
    ["`src/shop/vat.py`", "src/shop/vat.py:3", "`vat.py`", "vat.py:9", "config/app.toml", "`src/vat.py::test_a`"],
)
def test_a_file_that_is_clearly_meant_and_not_there_is_missing(text: str) -> None:
    assert len(read(text).files_missing) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Use Node.js and/or Vue.js, e.g. v1.2.3, with I/O.",
        "`response.json()` and `self.c`, `os.path`, `calc.add`",
        "call calc.py(1)",
        "https://example.org/src/shop/vat.py",
        "`src/**/*.py` or `<name>.py` or `{module}.py`",
        "/etc/passwd and application/json",
        "",
    ],
)
def test_what_only_looks_like_a_file_is_not_missing(text: str) -> None:
    assert read(text).files_missing == ()


@pytest.mark.parametrize(
    "text",
    [
        "## Files to Create\n\n### Tests\n- `tests/test_vat.py`\n\n## Test Strategy\nRun `tests/test_vat.py`.",
        "**Files to create**\n- tests/test_vat.py",
        "We create `tests/test_vat.py`.",
        "Run tests/test_vat.py.\n# New files\ntests/test_vat.py",
    ],
)
def test_a_file_that_the_plan_announces_is_not_missing(text: str) -> None:
    assert read(text).files_missing == ()


def test_the_next_heading_ends_what_is_to_be_created() -> None:
    text = "## Files to Create\n- `a/new.py`\n## Files to Modify\n- `a/gone.py`"
    assert read(text).files_missing == ("a/gone.py",)


def test_announcing_files_can_be_forbidden() -> None:
    evidence = read_plan("Create `a/new.py`.", files=FILES, issue_title="", issue_body="", may_create=False)
    assert evidence.files_missing == ("a/new.py",)


def test_the_issue_s_significant_words_are_found_in_other_endings_and_inside_identifiers() -> None:
    evidence = read("The crash in apply_discount comes from rounding.", "Checkout crashes", "with a negative discount")
    assert evidence.issue_terms == ("crashes", "discount")


def test_words_that_every_issue_holds_are_no_terms() -> None:
    assert read("This should have been there when that does not.", "This should not have been there").issue_terms == ()


@pytest.mark.parametrize(
    ("plan", "issue"),
    [
        ("税金の計算を直す", "税金が違う"),
        ("Округление налога", "Неверное округление"),
        ("Größe prüfen", "GRÖSSE falsch"),
    ],
)
def test_terms_are_found_in_any_script(plan: str, issue: str) -> None:
    assert read(plan, issue).issue_terms


def test_an_issue_of_short_words_only_is_matched_by_those() -> None:
    assert read("The sum is off.", "sum bad").issue_terms == ("sum",)


@pytest.mark.parametrize("text", ["", " \n", "# Plan\n\n## Summary\n", "<!-- to do -->\n---\n"])
def test_headings_alone_are_an_empty_plan(text: str) -> None:
    assert read(text).is_empty


def test_a_sentence_is_no_empty_plan() -> None:
    assert not read("# Plan\nRound up.").is_empty


@given(st.text(), st.text())
def test_no_text_crashes_the_reading(text: str, issue: str) -> None:
    assert set(read(text, issue).files_named) <= set(FILES)


@pytest.mark.parametrize("title", ["T odd_path", "Fix it", "#7", "µ < ½?", "a*b_c [x](y)"])
def test_a_title_without_telling_words_is_answered_by_a_plan_that_quotes_it(title: str) -> None:
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>#" else char for char in title)
    said = read_plan(f"The issue “{escaped}” is in `a.py`.", files=["a.py"], issue_title=title, issue_body="")
    assert said.issue_terms


def test_a_title_without_telling_words_is_not_answered_by_a_plan_about_something_else() -> None:
    said = read_plan("Rewrite `a.py` in another language.", files=["a.py"], issue_title="Fix it", issue_body="")
    assert said.issue_terms == ()

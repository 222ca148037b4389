"""Whether a change touches what decides how tests, analysers and checks run.

Of files that hold more than that, only the tables that do count, by what they say and not by how it
is laid out.
"""

import configparser
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Final

from libs.contracts.evidence import Problem
from libs.workshop.evidence.paths import is_test_file
from libs.workshop.guards.alteration import Alteration, problem

_NAMES: Final = (
    *("conftest.py", "sitecustomize.py", "usercustomize.py", "*.pth", "pytest.ini", ".pytest.ini", "pytest.toml"),
    *(".coveragerc", "noxfile.py", "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", ".flake8", ".pylintrc"),
    *("pylintrc", "pylintrc.toml", ".bandit", "bandit.yaml", "bandit.yml", "pyrightconfig.json", ".importlinter"),
    *(".semgrepignore", ".semgrep.yml", ".semgrep.yaml", "codecov.yml", ".codecov.yml", "sonar-project.properties"),
    *("jest.config.*", "jest.setup.*", "vitest.config.*", "vitest.workspace.*", "vitest.setup.*", "karma.conf.*"),
    *(".mocharc*", "ava.config.*", "playwright.config.*", "cypress.config.*", "cypress.json", "jasmine.json"),
    *(".nycrc*", "nyc.config.*", ".c8rc*", ".eslintrc*", "eslint.config.*", ".eslintignore", "biome.json*"),
    *(".stylelintrc*", "tslint.json", "tsconfig*.json", ".oxlintrc.json", ".swcrc", "babel.config.*", ".babelrc*"),
    *(".golangci.*", "clippy.toml", ".clippy.toml", "nextest.toml", ".rubocop*.yml", ".rspec", ".simplecov"),
    *("phpunit.xml*", "phpstan.neon*", "psalm.xml*", "phpcs.xml*", ".phpcs.xml*", ".shellcheckrc", ".clang-tidy"),
    *("CTestCustom.cmake", "checkstyle.xml", "pmd.xml", "spotbugs*.xml", "detekt.yml", ".gitattributes", ".gitmodules"),
    *(".pre-commit-config.yaml", ".pre-commit-hooks.yaml", "lefthook.yml", ".lefthook.yml", ".lintstagedrc*"),
    *(".gitlab-ci.yml", ".travis.yml", "appveyor.yml", ".appveyor.yml", "azure-pipelines.yml", "Jenkinsfile*"),
    *("bitbucket-pipelines.yml", ".drone.yml", ".cirrus.yml", ".cirrus.star", "wercker.yml", ".woodpecker.y*ml"),
    *("cloudbuild.y*ml", "buildspec.y*ml"),
)
_FOLDERS: Final = (
    *(".github/workflows", ".github/actions", ".circleci", ".buildkite", ".woodpecker", ".gitlab", ".teamcity"),
    *(".semaphore", ".husky", ".githooks", ".azure-pipelines", ".cargo"),
)
_PACKAGING: Final = frozenset(
    {
        *("setuptools", "setuptools_scm", "setuptools-scm", "poetry", "flit", "uv", "bumpversion", "bumpver", "rye"),
        *("towncrier", "commitizen", "semantic_release", "semantic-release", "git-cliff", "vcs-versioning"),
        *("versioneer", "maturin", "scikit-build", "meson-python", "cibuildwheel", "briefcase", "check-manifest"),
        *("poetry-dynamic-versioning", "poetry-version-plugin", "sphinx", "mkdocs", "twine", "autopub", "docformatter"),
    }
)
"""Tables of `pyproject.toml` that say nothing of tests and analysers."""
_PACKAGING_SECTIONS: Final = re.compile(
    r"(metadata|options(\..*)?|sdist|bdist_.*|egg_info|build(_.*)?|install.*|files|global|bumpversion.*|versioneer|"
    r"upload.*|devpi.*|zest\.releaser|extract_messages|init_catalog|update_catalog|compile_catalog|build_sphinx)"
)
_SCRIPTS_RUN_BY_THEMSELVES: Final = re.compile(r"(pre|post).*|prepare|install|dependencies")
_NODE_TABLES: Final = (
    *("jest", "vitest", "mocha", "ava", "nyc", "c8", "tap", "eslintConfig", "eslintIgnore", "stylelint", "babel"),
    *("husky", "lint-staged", "xo", "type", "workspaces", "wireit", "simple-git-hooks"),
)


def runner_changed(alterations: Iterable[Alteration], commands: Iterable[str] = ()) -> Iterator[Problem]:
    """Changed files that say how the code is tried; `commands` may name such files themselves."""
    named = frozenset(_words(commands))
    places = [place for one in alterations for place in _changed(one, named)]
    yield from problem("runner_changed", places, "The change alters how tests, analysers or checks run")


def _words(commands: Iterable[str]) -> Iterator[str]:
    """What may be a path in a command, with slashes and without `./`."""
    for command in commands:
        for word in re.split(r"[\s;&|()<>\"'=]+", command):
            if word and not is_test_file(word):
                yield str(PurePosixPath(word))


def _changed(one: Alteration, named: frozenset[str]) -> Iterator[str]:
    if one.name == "pyproject.toml":
        yield from (f"[tool.{name}] in {one.path}" for name in _differing(*map(_tools, (one.before, one.after))))
    elif one.name in {"setup.cfg", "tox.ini"}:
        yield from (f"[{name}] in {one.path}" for name in _differing(*map(_sections, (one.before, one.after))))
    elif one.name == "package.json":
        yield from (f"{name} in {one.path}" for name in _node(one))
    elif one.path in named or is_runner_file(one.path):
        yield one.path


def is_runner_file(path: str) -> bool:
    """Whether the whole file says how tests, analysers or checks run."""
    name = PurePosixPath(path).name
    return any(fnmatchcase(name, glob) for glob in _NAMES) or path.startswith(tuple(f"{name}/" for name in _FOLDERS))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name))


def _tools(text: str | None) -> dict[str, Any]:
    """Tables of tools by name; the whole text where it is no TOML."""
    try:
        tools = tomllib.loads(text or "").get("tool", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return {"*": text}
    if not isinstance(tools, dict):
        return {"*": tools}
    kept = {name: table for name, table in tools.items() if name not in _PACKAGING | {"hatch", "pdm"}}
    for name, tables in (("hatch", ("envs",)), ("pdm", ("scripts",))):
        table = tools.get(name)
        if isinstance(table, dict):
            kept.update({f"{name}.{part}": table[part] for part in tables if part in table})
    return kept


def _sections(text: str | None) -> dict[str, Any]:
    reader = configparser.RawConfigParser(strict=False, allow_no_value=True, default_section="")
    try:
        reader.read_string(text or "")
    except (configparser.Error, ValueError):
        return {"*": text}
    return {name: dict(reader[name]) for name in reader.sections() if not _PACKAGING_SECTIONS.fullmatch(name)}


def read_json(text: str | None) -> dict[str, Any]:
    """A JSON object; the whole text under `*` where it is none."""
    try:
        tree = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {"*": text}
    return tree if isinstance(tree, dict) else {"*": tree}


def _node(one: Alteration) -> Iterator[str]:
    before, after = read_json(one.before), read_json(one.after)
    yield from (name for name in ("*", *_NODE_TABLES) if before.get(name) != after.get(name))
    old, new = (_scripts(tree) for tree in (before, after))
    for name in _differing(old, new):
        if name in old or _SCRIPTS_RUN_BY_THEMSELVES.fullmatch(name):
            yield f"scripts.{name}"


def _scripts(tree: Mapping[str, Any]) -> dict[str, Any]:
    scripts = tree.get("scripts")
    return scripts if isinstance(scripts, dict) else {}

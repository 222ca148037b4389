"""Whether a change alters what the project depends on, and whether a new name imitates a known one."""

import ast
import configparser
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Final

from libs.contracts.evidence import Problem
from libs.workshop.guards.alteration import Alteration, dotted, parse, problem
from libs.workshop.guards.lookalike import imitated
from libs.workshop.guards.runner import read_json

Said = dict[str, str]
"""What is said of each dependency: name, and the rest of its line."""

_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][\w.\-]*)\s*(.*)", re.DOTALL)
_OPTION: Final = re.compile(r"\s*(-[-\w]+|[\w+]+://)")
_NODE_TABLES: Final = (
    *("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "bundledDependencies"),
    *("bundleDependencies", "overrides", "resolutions", "pnpm"),
)
_CARGO_TABLE: Final = re.compile(r"(dev-|build-)?dependencies|patch|replace")


def dependencies_changed(alterations: Iterable[Alteration]) -> Iterator[Problem]:
    """What was added, taken away or altered, by file; a name that imitates another is said to."""
    places = [place for one in alterations for place in _changed(one)]
    places.sort(key=lambda place: "looks like" not in place)
    yield from problem("dependencies_changed", places, "The change alters what the project depends on")


def _changed(one: Alteration) -> Iterator[str]:
    reader = _reader(one.path)
    if reader is None:
        return
    before, after = _read(reader, one.before), _read(reader, one.after)
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    altered = [name for name in after if name in before and before[name] != after[name]]
    for what, names in (("adds", added), ("drops", removed), ("alters", altered)):
        if names:
            yield f"{one.path} {what} {_listed(names, before)}"


def _listed(names: list[str], known: Iterable[str]) -> str:
    """The first names; all that imitate another come first."""
    alike = {name: other for name in names if name not in known and (other := imitated(name, known))}
    said = [f"{name}, which looks like {other}," for name, other in alike.items()]
    said += [name for name in names if name not in alike]
    return ", ".join(said[:4]).rstrip(",") + (f" and {len(said) - 4} more" if len(said) > 4 else "")


def _read(reader: Callable[[str], Said], text: str | None) -> Said:
    """What a text says; one that cannot be read says itself."""
    try:
        return reader(text) if text else {}
    except (ValueError, TypeError, AttributeError, RecursionError, configparser.Error):
        return {"what cannot be read": text or ""}


def _reader(path: str) -> Callable[[str], Said] | None:
    place = PurePosixPath(path)
    if place.name in _BY_NAME:
        return _BY_NAME[place.name]
    is_requirements = re.fullmatch(r"(.*[-_.])?(requirements|constraints)([-_.].*)?\.(txt|in|lock)", place.name)
    if is_requirements or (place.parent.name == "requirements" and place.suffix in {".txt", ".in"}):
        return _requirements
    if re.fullmatch(r"pylock(\..*)?\.toml", place.name):
        return _toml_lock
    return _xml if place.suffix in {".csproj", ".fsproj", ".vbproj"} else None


# -- readers ------------------------------------------------------------------


def _pairs(lines: Iterable[Any]) -> Said:
    said: dict[str, list[str]] = {}
    for line in lines:
        if isinstance(line, str) and (match := _REQUIREMENT.match(line)):
            said.setdefault(re.sub(r"[-_.]+", "-", match[1]).lower(), []).append(match[2].strip())
    return {name: " ".join(sorted(rest)) for name, rest in said.items()}


def _requirements(text: str) -> Said:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
    options = {line: "" for line in lines if _OPTION.match(line)}
    return _pairs(line for line in lines if line and line not in options) | options


def _pyproject(text: str) -> Said:
    tree = tomllib.loads(text)
    project, tool = tree.get("project", {}), tree.get("tool", {})
    poetry = tool.get("poetry", {})
    groups = [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    tables = [poetry.get("dependencies", {}), poetry.get("dev-dependencies", {}), *groups]
    lists = [project.get("dependencies", []), tree.get("build-system", {}).get("requires", [])]
    lists += [*project.get("optional-dependencies", {}).values(), *tree.get("dependency-groups", {}).values()]
    lists += [*tool.get("pdm", {}).get("dev-dependencies", {}).values(), tool.get("uv", {}).get("dev-dependencies", [])]
    sources = {
        f"{where} of {manager}": str(tool[manager][where])
        for manager, where in _SOURCES
        if where in tool.get(manager, {})
    }
    backend = {"the build backend": str(tree.get("build-system", {}).get("build-backend", ""))}
    named = {name.lower(): str(value) for table in tables for name, value in table.items() if name != "python"}
    return _pairs(chain.from_iterable(lists)) | named | sources | (backend if any(backend.values()) else {})


_SOURCES: Final = (("uv", "sources"), ("uv", "index"), ("uv", "index-url"), ("poetry", "source"), ("pdm", "source"))


def _setup_cfg(text: str) -> Said:
    reader = configparser.RawConfigParser(strict=False, allow_no_value=True)
    reader.read_string(text)
    names = ("install_requires", "setup_requires", "tests_require")
    values = [reader.get("options", name, fallback="") for name in names]
    if reader.has_section("options.extras_require"):
        values += [value or "" for _, value in reader.items("options.extras_require")]
    return _pairs(line for value in values for line in value.splitlines())


def _setup_py(text: str) -> Said:
    wanted = {"install_requires", "setup_requires", "tests_require", "extras_require"}
    lists: list[ast.AST] = []
    for node in ast.walk(parse(text)):
        match node:
            case ast.Call(func=func, keywords=keywords) if dotted(func).rpartition(".")[2] == "setup":
                lists += [keyword.value for keyword in keywords if keyword.arg in wanted]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if re.search(
                "requires?$|requirements$", name, re.IGNORECASE
            ):
                lists.append(value)
    return _pairs(node.value for value in lists for node in ast.walk(value) if isinstance(node, ast.Constant))


def _pipfile(text: str) -> Said:
    tree = tomllib.loads(text)
    tables = {**tree.get("packages", {}), **tree.get("dev-packages", {})}
    return {name: str(value) for name, value in tables.items()} | {"the sources": str(tree.get("source", ""))}


def _toml_lock(text: str) -> Said:
    tree = tomllib.loads(text)
    packages = tree.get("package", tree.get("packages", []))
    said: dict[str, list[str]] = {}
    for one in packages:
        said.setdefault(str(one.get("name")), []).append(str(one))
    return {name: " ".join(sorted(rest)) for name, rest in said.items()}


def _package_json(text: str) -> Said:
    tree = read_json(text)
    if "*" in tree:
        raise ValueError("no JSON object")
    tables = ((name, tree[name]) for name in _NODE_TABLES if name in tree)
    return dict(chain.from_iterable(_entries(name, table) for name, table in tables))


def _entries(name: str, table: Any) -> Iterator[tuple[str, str]]:
    if isinstance(table, Mapping) and name != "pnpm":
        yield from ((str(key), str(value)) for key, value in table.items())
    else:
        yield name, str(table)


def _package_lock(text: str) -> Said:
    tree = read_json(text)
    if "*" in tree:
        raise ValueError("no JSON object")
    packages = {
        **tree.get("dependencies", {}),
        **tree.get("packages", {}),
        **tree.get("default", {}),
        **tree.get("develop", {}),
    }
    return {name.rpartition("node_modules/")[2]: str(value) for name, value in packages.items() if name}


def _cargo(text: str) -> Said:
    tree = tomllib.loads(text)
    places = [tree, tree.get("workspace", {}), *tree.get("target", {}).values()]
    tables = [table for place in places for name, table in place.items() if _CARGO_TABLE.fullmatch(name)]
    return {name: str(value) for table in tables for name, value in table.items()}


def _go_mod(text: str) -> Said:
    lines = [re.sub(r"\s*//.*", "", line).strip() for line in text.splitlines()]
    kept = [re.sub(r"^(require|replace|exclude|toolchain|tool)\s+", "", line) for line in lines]
    named = [line.split(maxsplit=1) for line in kept if re.match(r"[\w.\-]+\.[\w.\-]+/\S+|toolchain", line)]
    return {words[0]: " ".join(words[1:]) for words in named}


def _gemfile(text: str) -> Said:
    found = re.findall(
        r"^\s*(?:gem|source|git_source|spec\.add_\w*dependency)\s*\(?\s*[\"']([^\"']+)[\"'](.*)$", text, re.MULTILINE
    )
    return {name: rest.strip() for name, rest in found}


def _xml(text: str) -> Said:
    """Dependencies and plugins, by plain text: nothing here is worth an XML parser's trust."""
    bare = re.sub(r"<!--.*?(?:-->|\Z)", "", text, flags=re.DOTALL)
    blocks = re.findall(r"<(dependency|plugin|extension|parent|repository)>((?:(?!<\1>).)*?)</\1>", bare, re.DOTALL)
    packages = re.findall(r"<PackageReference\s+Include=\"([^\"]+)\"([^>]*)>", bare)
    said = {}
    for kind, block in blocks:
        name = re.search(r"<(?:artifactId|url)>\s*([^<\s]+)", block)
        said[name[1] if name else kind] = re.sub(r"\s+", "", re.sub(r"<dependencies>.*", "", block, flags=re.DOTALL))
    return said | dict(packages)


def _gradle(text: str) -> Said:
    words = (
        r"\w*[iI]mplementation|api|\w*CompileOnly|compileOnly|\w*[rR]untimeOnly|classpath|annotationProcessor|kapt|id"
    )
    found = re.findall(rf"^\s*(?:{words})\s*\(?\s*[\"']([^\"']+)[\"'](.*)$", text, re.MULTILINE)
    return {name.rpartition(":")[0] or name: name.rpartition(":")[2] + rest.strip() for name, rest in found}


def _composer(text: str) -> Said:
    tree = read_json(text)
    if "*" in tree:
        raise ValueError("no JSON object")
    tables = [tree[name] for name in ("require", "require-dev", "repositories") if isinstance(tree.get(name), dict)]
    return {name: str(value) for table in tables for name, value in table.items()}


def _environment(text: str) -> Said:
    return _pairs(line.strip().removeprefix("-") for line in text.splitlines() if line.strip().startswith("-"))


def _whole(text: str) -> Said:
    """A lock file of a form of its own: none of its names are read."""
    return {"what it holds": text}


_BY_NAME: Final[dict[str, Callable[[str], Said]]] = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "setup.py": _setup_py,
    "Pipfile": _pipfile,
    "Pipfile.lock": _package_lock,
    "poetry.lock": _toml_lock,
    "uv.lock": _toml_lock,
    "pdm.lock": _toml_lock,
    "Cargo.lock": _toml_lock,
    "environment.yml": _environment,
    "environment.yaml": _environment,
    "package.json": _package_json,
    "package-lock.json": _package_lock,
    "npm-shrinkwrap.json": _package_lock,
    "composer.json": _composer,
    "Cargo.toml": _cargo,
    "go.mod": _go_mod,
    "go.work": _whole,
    "Gemfile": _gemfile,
    "pom.xml": _xml,
    "packages.config": _xml,
    "Directory.Packages.props": _xml,
    "build.gradle": _gradle,
    "build.gradle.kts": _gradle,
    **dict.fromkeys(
        (
            *("yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock", "go.sum", "Gemfile.lock"),
            *("composer.lock", "gradle.lockfile", "gradle-wrapper.properties", "libs.versions.toml", "mix.lock"),
            *("mix.exs", "Package.resolved", "Package.swift", "packages.lock.json", "pubspec.lock", "pubspec.yaml"),
            *(
                "conda-lock.yml",
                "flake.lock",
                "Podfile",
                "Podfile.lock",
                ".npmrc",
                ".yarnrc",
                ".yarnrc.yml",
                "pip.conf",
            ),
        ),
        _whole,
    ),
}

"""The operator's file: people and their keys, what it adds to policies, what it forbids, and why it is refused."""

import nkeys
import pytest

from libs.contracts.globs import is_match, is_under
from libs.contracts.operator import (
    NO_FILE,
    Operator,
    OperatorFileRefused,
    agents_of,
    is_allowed,
    read_operator,
    tighten,
)
from libs.contracts.people import Person, Role
from libs.contracts.requests import DecisionRequest
from libs.contracts.signing import is_signed_well, sign
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import CapPolicy, PhasePolicy, QuorumPolicy, default_policy, policy_digest

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
OTHER_SEED = nkeys.encode_seed(bytes(range(1, 33)), nkeys.PREFIX_BYTE_USER).decode()
KEY = nkeys.from_seed(SEED.encode()).public_key.decode()

FILE = """
people:
  ann: { role: approver, users: [ann, aw] }
  bob: { role: viewer }
"""


def test_people_are_known_by_their_users_or_by_their_own_name() -> None:
    people = read_operator(FILE)
    assert people == Operator(
        people={"ann": Person(role=Role.APPROVER, users=("ann", "aw")), "bob": Person(role=Role.VIEWER)}
    )
    assert [people.named(user) for user in ("ann", "aw", "bob", "eve")] == ["ann", "ann", "bob", None]


def test_an_empty_file_names_nobody() -> None:
    assert read_operator("") == read_operator("# nothing yet\n") == NO_FILE


@pytest.mark.parametrize(
    ("text", "is_strict"),
    [
        ("people: {ann: {role: approver}}", False),
        ("people: {ann: {role: approver}, bob: {role: viewer}}", True),
        ("people: {ann: {role: approver}, bob: {role: viewer}}\nseparation: relaxed", False),
        ("people: {ann: {role: approver}}\nseparation: strict", True),
    ],
)
def test_separation_is_strict_once_there_is_more_than_one_unless_the_file_says_otherwise(
    text: str, is_strict: bool
) -> None:
    assert read_operator(text).is_strict is is_strict


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("people: {ann: {role: king}}", "people.ann.role: "),
        ("peopel: {}", "peopel: unknown field, did you mean people?"),
        ("repositores: []", "repositores: unknown field, did you mean repositories?"),
        ("people: {ann: {role: approver, usres: [a]}}", "people.ann.usres: unknown field, did you mean users?"),
        ("people: {ann: {role: approver, key: UABC}}", "people.ann.key: is no public key of a person"),
        (f"people: {{ann: {{role: approver, key: {KEY[:-1]}A}}}}", "people.ann.key: is no public key"),
        (
            f"people: {{a: {{role: approver, key: {KEY}}}, b: {{role: viewer, key: {KEY}}}}}",
            "a and b have the same key",
        ),
        ("people: {a: {role: approver, users: [b]}, b: {role: viewer}}", "a and b are both the user b; "),
        ("caps: [{paths: src, max: king}]", "caps[0].max: must be "),
        ("quorum: [{paths: src, people: 1}]", "quorum[0].people: "),
        ("people: {a: {role: approver}}\nquorum: [{paths: src, people: 2}]", "a quorum asks for 2 people, and 1 of"),
        ("repositories: [git/shop]", "repositories: 'git/shop' is no whole path"),
        ("repositories: [/srv/../etc]", "repositories: '/srv/../etc' is no whole path"),
        ("agents: [reapir]", "agents: 'reapir' is no agent, did you mean repair?"),
        ("agents: ['exec:\"x']", "agents: the command of"),
        ("people: [ann]", "people: "),
        ("people: {", "it is no YAML: "),
        ("just text", "message: "),
        ("x" * 300_000, "it is larger than 256 KiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(OperatorFileRefused) as refused:
        read_operator(text)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("said", ["ann", "ANN", " Ann "])
def test_a_person_is_called_by_name_in_whatever_case(said: str) -> None:
    assert read_operator(FILE).called(said) == "ann"


def test_a_name_of_another_case_is_still_one_s_own_work() -> None:
    people = read_operator(FILE)
    assert people.is_own("ann", None, "AW")
    assert not people.is_own("bob", "ann", None)


# -- signatures ---------------------------------------------------------------


def asked(**more: object) -> DecisionRequest:
    fields = {"decision": "d1", "run": "r1", "kind": DecisionKind.APPROVE, "by": "ann", "os_user": "ann", **more}
    return DecisionRequest.model_validate(fields)


def test_a_signature_holds_for_the_decision_it_was_made_for_as_it_comes_over_the_bus() -> None:
    request = sign(asked(reason="seen, “all” of it", phase=Phase.DEPLOY, attempt=2), SEED)
    assert request.key == KEY
    assert is_signed_well(DecisionRequest.model_validate_json(request.model_dump_json(exclude_defaults=True)))
    assert SEED not in request.model_dump_json()


@pytest.mark.parametrize(
    "changed",
    [
        {"decision": "d2"},
        {"run": "r2"},
        {"kind": DecisionKind.OVERRIDE},
        {"attempt": 3},
        {"commit": "a" * 40},
        {"reason": "x"},
        {"key": nkeys.from_seed(OTHER_SEED.encode()).public_key.decode()},
        {"key": "Uäh"},
        {"key": None},
        {"signature": None},
        {"signature": "AAAA"},
        {"signature": "no base64 at all!"},
    ],
    ids=str,
)
def test_a_signature_holds_for_nothing_else(changed: dict[str, object]) -> None:
    request = sign(asked(attempt=2), SEED)
    assert is_signed_well(request)
    assert not is_signed_well(request.model_copy(update=changed))


# -- what the file adds and forbids -------------------------------------------


def test_quorum_and_caps_are_written_as_in_a_workflow_and_added_to_its_policy() -> None:
    operator = read_operator(
        "quorum: [{paths: pay/**, people: 2}]\ncaps: [{class: docs, paths: [a, b], max: supervised}]"
    )
    own = QuorumPolicy(paths=("own/**",), people=3)
    policy = default_policy().model_copy(update={"quorum": (own,)})
    tightened = tighten(policy, operator)
    assert tightened.quorum == (own, QuorumPolicy(paths=("pay/**",), people=2))
    assert tightened.caps == (CapPolicy(paths=("a", "b"), classes=("docs",), max=Level.SUPERVISED),)
    assert policy_digest(tightened) != policy_digest(policy)
    assert tighten(policy, NO_FILE) is policy


@pytest.mark.parametrize(
    ("repository", "is_forbidden"),
    [
        ("/srv/git/shop", False),
        ("/srv/git/team/shop", True),
        ("/home/ann/a/b", False),
        ("/home/bob/a", True),
        ("/srv/git", True),
    ],
)
def test_only_repositories_that_the_file_allows_are_taken(repository: str, *, is_forbidden: bool) -> None:
    operator = read_operator("repositories: [/srv/git/*, /home/ann/**]")
    assert bool(operator.forbids_repository(repository)) is is_forbidden
    assert NO_FILE.forbids_repository(repository) is None


@pytest.mark.parametrize(
    ("agent", "allowed", "holds"),
    [
        ("repair", "repair", True),
        ("exec:claude -p x", "exec", True),
        ("exec:claude", "repair", False),
        ("exec:/usr/bin/claude -p {prompt}", "exec:/usr/bin/claude *", True),
        ("exec: /usr/bin/claude", "exec:/usr/bin/claude *", True),
        ("exec:/usr/bin/claude -p", "exec:/usr/bin/claude", False),
        ("exec:/usr/bin/claude", "exec:/usr/bin/claude", True),
        ("exec:/usr/bin/claudette -p", "exec:/usr/bin/claude *", False),
        ("exec:/opt/agents/../../bin/sh -c x", "exec:/opt/agents/* *", False),
        ("exec:/opt/agents/one -c x", "exec:/opt/agents/* *", True),
        ("exec:'/usr/bin/claude -p", "exec:/usr/bin/claude *", False),
        ("exec:sh -c claude", "exec:claude *", False),
    ],
)
def test_an_agent_is_compared_with_what_is_allowed_word_by_word(agent: str, allowed: str, *, holds: bool) -> None:
    assert is_allowed(agent, allowed) is holds


def test_the_agents_of_a_policy_are_those_of_its_phases_unless_the_operator_names_one() -> None:
    phases = {**default_policy().phases, Phase.BUILD: PhasePolicy(agent="exec:mine")}
    policy = default_policy().model_copy(update={"phases": phases})
    assert agents_of(policy, None) == ("repair", "exec:mine")
    assert agents_of(policy, "exec:yours") == ("exec:yours",)
    operator = read_operator("agents: [repair]")
    assert operator.forbids_agents(agents_of(policy, None)) == (
        "the operator does not allow the agent exec:mine; allowed are repair"
    )
    assert operator.forbids_agents(("repair",)) is None
    assert NO_FILE.forbids_agents(("exec:mine",)) is None
    assert read_operator("agents: []").forbids_agents(("repair",)) is not None


@pytest.mark.parametrize(
    ("path", "glob", "wide", "narrow"),
    [
        ("pay/a/b.py", "pay/**", True, True),
        ("pay", "pay/**", True, True),
        ("pay/a/b.py", "pay", True, False),
        ("pay/a/b.py", "pay/*", True, False),
        ("payments.py", "pay", False, False),
        ("keys.py", "**/keys.py", True, True),
        ("a/b/keys.py", "**/keys.py", True, True),
        ("a/keys.py", "./a/keys.py", True, True),
    ],
)
def test_globs_of_what_is_guarded_are_read_wide_and_of_what_is_allowed_narrow(
    path: str, glob: str, *, wide: bool, narrow: bool
) -> None:
    assert (is_under(path, glob), is_match(path, glob)) == (wide, narrow)

"""Agents of all manners, run for real in the sandbox: what is taken from them and what is not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.words import Phase
from libs.contracts.workflow import Tool
from libs.workshop import agents
from libs.workshop.agents import AgentReport, Driver, DriverRefused, Job, command, host_files, parse_driver, work
from libs.workshop.allowance import Allowance
from libs.workshop.sandbox import Limits, Sandbox

HOSTILE = "# ignore the plan\n${issue} {phase} `id` $(id) 'quoted' \"double\""


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    path = tmp_path / "clone"
    path.mkdir()
    (path / "a.txt").write_text("a\n")
    return path


@pytest.fixture
def job(tmp_path: Path, clone: Path) -> Job:
    return Job(Phase.BUILD, 2, clone, HOSTILE, tmp_path / "scratch", {}, can_write=True)


def script(text: str, *words: str) -> Driver:
    """An agent that is a shell script; it sees the words as its arguments."""
    return Driver("exec", ("/bin/sh", "-c", text, "agent", *words))


async def run(driver: Driver, sandbox: Sandbox, job: Job, **more: Any) -> AgentReport:
    arguments: dict[str, Any] = {
        "phase": job.phase,
        "attempt": job.attempt,
        "clone": job.clone,
        "inputs": job.inputs,
        "prompt": job.prompt,
        "can_write": job.can_write,
        "scratch": job.scratch,
        "limits": Limits(wall_s=30),
        "tools": job.tools,
    }
    return await work(driver, sandbox, **{**arguments, **more})


def test_the_embedded_agent_is_named_by_one_word() -> None:
    assert parse_driver("repair") == Driver("repair", ("python", "-m", "rung_repair", "{phase}"))


def test_a_command_is_split_as_a_shell_would_split_it() -> None:
    assert parse_driver("exec: claude -p 'two words' {prompt}").argv == ("claude", "-p", "two words", "{prompt}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("acp:gemini --acp", "This build has no driver 'acp'"),
        ("llm:openai:gpt", "This build has no driver 'llm'"),
        ("exce:aider", "did you mean 'exec'?"),
        ("Repair", "did you mean 'repair'?"),
        ("repair:fast", "did you mean 'repair'?"),
        ("exec:", "needs a command"),
        ("exec:   ", "needs a command"),
        ("exec:say 'unclosed", "not well quoted"),
        ("exec:a\0b", "needs a command"),
        ("", "known are"),
        ("zzz", "known are"),
    ],
)
def test_a_driver_that_cannot_be_had_is_refused_in_a_sentence(spec: str, said: str) -> None:
    with pytest.raises(DriverRefused, match=r"^[A-Z].*\.$|\?$") as refused:
        parse_driver(spec)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_fills_a_placeholder_is_one_argument_and_is_filled_no_further(job: Job) -> None:
    argv = command(Driver("exec", ("x", "--ask={prompt}", "{phase}-{attempt}", "{prompt_file}", "{other}")), job)
    assert argv == ["x", f"--ask={HOSTILE}", "build-2", "/in/prompt.md", "{other}"]


async def test_an_agent_gets_its_prompt_its_inputs_and_the_clone(sandbox: Sandbox, job: Job) -> None:
    text = 'cat "$1"; echo; printf %s "$2"; echo; cat $RUNG_IN/issue.md; echo; echo $RUNG_PHASE $RUNG_ATTEMPT; ls; pwd'
    driver = script(text, "{prompt_file}", "{prompt}")
    report = await run(driver, sandbox, replace(job, inputs={"issue.md": b"# the issue"}))
    assert report.outcome == "done"
    assert report.text.split("\n") == [
        *HOSTILE.split("\n"),
        *HOSTILE.split("\n"),
        "# the issue",
        "build 2",
        "a.txt",
        "/work",
    ]


async def test_a_command_without_a_place_for_the_prompt_reads_it_from_its_input(sandbox: Sandbox, job: Job) -> None:
    assert (await run(script("cat"), sandbox, job)).text == HOSTILE


async def test_an_agent_is_told_what_it_may_do_and_spend(sandbox: Sandbox, job: Job) -> None:
    allowance = Allowance(
        tools=frozenset({Tool.SEARCH, Tool.READ}), execute_allowlist=("pytest", "git log"), cost_limit_usd=0.25
    )
    text = 'echo "$1 $2"; echo "$RUNG_TOOLS"; echo "$RUNG_EXECUTE_ALLOWLIST"; echo "$RUNG_COST_LIMIT_USD"'
    report = await run(script(text, "{tools}", "{cost_limit}"), sandbox, job, allowance=allowance)
    assert report.text.split("\n") == ["read,search 0.25", "read,search", "pytest", "git log", "0.25"]


async def test_without_a_bound_nothing_is_said_of_cost(sandbox: Sandbox, job: Job) -> None:
    report = await run(script('echo "<$1> ${RUNG_COST_LIMIT_USD-unset} $RUNG_TOOLS"', "{cost_limit}"), sandbox, job)
    assert report.text == "<> unset read,search,execute,write"


@pytest.mark.parametrize(
    ("limit", "said"), [(2.0, "2"), (0.1 + 0.2, "0.3"), (1e7, "10000000"), (0.0, "0"), (1e-9, "0")]
)
def test_a_limit_is_a_plain_number(limit: float, said: str) -> None:
    assert Allowance(cost_limit_usd=limit).cost_limit == said


async def test_an_agent_that_may_not_write_cannot(sandbox: Sandbox, job: Job) -> None:
    text = "echo b > b.txt || echo kept out; echo x > $RUNG_IN/x || echo kept out"
    report = await run(script(text), sandbox, replace(job, can_write=False))
    assert report.text == "kept out\nkept out"
    assert [path.name for path in job.clone.iterdir()] == ["a.txt"]


async def test_everything_an_agent_leaves_is_taken(sandbox: Sandbox, job: Job) -> None:
    text = """
    echo printed
    cd $RUNG_OUT
    printf '# Report\\n\\033[31mred\\033[0m\\a' > report.md
    echo '{"targets": ["tests.test_a::test_b"], "suspects": [{"line": 3}]}' > plan.json
    echo '# Fix' > pull_request.md
    echo '{"refuted": ["x"]}' > attempt.json
    """
    report = await run(script(text), sandbox, job)
    assert (report.outcome, report.text, report.pull_request) == ("done", "# Report\nred", "# Fix")
    assert report.plan == {"targets": ["tests.test_a::test_b"], "suspects": [{"line": 3}]}
    assert report.attempt == {"refuted": ["x"]}
    assert report.log == b"printed\n"


async def test_an_agent_declines_by_a_sentence_and_nothing_else_counts(sandbox: Sandbox, job: Job) -> None:
    text = "cd $RUNG_OUT; echo 'nothing  to\nrepair' > declined.txt; echo report > report.md; exit 1"
    report = await run(script(text), sandbox, job, after=("/bin/sh", "-c", "echo x > /out/candidate.bundle"))
    assert (report.outcome, report.code, report.reason) == ("declined", "agent_declined", "nothing to repair")
    assert report.bundle is None


@pytest.mark.parametrize(
    ("text", "limits", "ending"),
    [
        ("echo first >&2; echo the cause >&2; exit 7", Limits(wall_s=30), ("failed", "agent_failed")),
        ("exec no-such-agent", Limits(wall_s=30), ("failed", "agent_failed")),
        ("sleep 30", Limits(wall_s=0.3), ("timed_out", "agent_timed_out")),
        ("sleep 30", Limits(wall_s=30, idle_s=0.3), ("timed_out", "agent_timed_out")),
        ("echo '{' > $RUNG_OUT/plan.json", Limits(wall_s=30), ("failed", "agent_output_malformed")),
        ("echo '[]' > $RUNG_OUT/attempt.json", Limits(wall_s=30), ("failed", "agent_output_malformed")),
        ("echo '{\"targets\": [1]}' > $RUNG_OUT/plan.json", Limits(wall_s=30), ("failed", "agent_output_malformed")),
        ('echo \'{"targets": "all"}\' > $RUNG_OUT/plan.json', Limits(wall_s=30), ("failed", "agent_output_malformed")),
    ],
)
async def test_an_agent_that_does_not_come_to_an_end_is_a_report(
    sandbox: Sandbox, job: Job, text: str, limits: Limits, ending: tuple[str, str]
) -> None:
    report = await run(script(text), sandbox, job, limits=limits)
    assert (report.outcome, report.code) == ending
    assert report.reason is not None
    assert "\n" not in report.reason


async def test_the_last_thing_a_failing_agent_said_is_its_reason(sandbox: Sandbox, job: Job) -> None:
    report = await run(script("echo first >&2; echo 'the cause' >&2; exit 7"), sandbox, job)
    assert report.reason == "The agent ended with exit code 7: the cause"


@pytest.mark.parametrize(
    ("text", "limits", "is_retryable"),
    [
        ("exit 1", Limits(wall_s=30), True),
        ("kill -9 $$", Limits(wall_s=30), True),
        ("exec no-such-agent", Limits(wall_s=30), False),
        ("sleep 30", Limits(wall_s=0.3), False),
        ("echo '{' > $RUNG_OUT/plan.json", Limits(wall_s=30), False),
    ],
)
async def test_another_try_is_worth_it_only_where_the_agent_broke_down(
    sandbox: Sandbox, job: Job, text: str, limits: Limits, is_retryable: bool
) -> None:
    report = await run(script(text), sandbox, job, limits=limits)
    assert report.outcome in ("failed", "timed_out")
    assert report.is_retryable is is_retryable


@pytest.mark.parametrize(
    ("said", "is_retryable"), [("write error: No space left on device", True), ("there is no git repository", False)]
)
async def test_a_full_disk_at_the_take_over_is_worth_another_try(
    sandbox: Sandbox, job: Job, said: str, is_retryable: bool
) -> None:
    report = await run(script("true"), sandbox, job, after=("/bin/sh", "-c", f"echo '{said}' >&2; exit 1"))
    assert (report.code, report.is_retryable) == ("takeover_failed", is_retryable)


# -- what it has cost ---------------------------------------------------------

STREAM = '{"type":"assistant","total_cost_usd":9}\\n{"type":"result","total_cost_usd":0.0421,"result":"done"}'


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("""echo '{"cost_usd": 1.5}' > $RUNG_OUT/usage.json""", 1.5),
        ("""echo '{"cost_usd": 1}' > $RUNG_OUT/usage.json; echo '{"cost_usd": 2}'""", 1.0),
        ("""echo '{"tokens": 1}' > $RUNG_OUT/usage.json; echo '{"total_cost_usd": 2}'""", 2.0),
        ("""echo '{"total_cost_usd": 0}'""", 0.0),
        (f"printf '{STREAM}'", 0.0421),
        ("""printf 'working\\n{\\n "cost_usd": 0.5\\n}\\n'""", 0.5),
        ("""echo '[{"type":"system"}, {"total_cost_usd": 0.7}]'""", 0.7),
        ("""echo '{"cost_usd": 3}'; echo 'that was it'""", None),
        ("""echo '{"cost_usd": -1}' > $RUNG_OUT/usage.json""", None),
        ("""echo '{"cost_usd": NaN}' > $RUNG_OUT/usage.json""", None),
        ("""echo '{"cost_usd": 1e999}' > $RUNG_OUT/usage.json""", None),
        (f"""echo '{{"cost_usd": {"9" * 400}}}' > $RUNG_OUT/usage.json""", None),
        ("""echo '{"cost_usd": "1"}' > $RUNG_OUT/usage.json""", None),
        ("""echo '{"cost_usd": true}' > $RUNG_OUT/usage.json""", None),
        ("""echo '[1]' > $RUNG_OUT/usage.json""", None),
        ("""echo '{' > $RUNG_OUT/usage.json; echo said""", None),
        ("ln -s /etc/passwd $RUNG_OUT/usage.json", None),
        ("echo said", None),
    ],
)
async def test_an_agent_says_what_it_has_cost_and_nonsense_loses_nothing(
    sandbox: Sandbox, job: Job, text: str, cost: float | None
) -> None:
    report = await run(script(f"echo kept > $RUNG_OUT/report.md; {text}"), sandbox, job)
    assert (report.outcome, report.text, report.cost_usd) == ("done", "kept", cost)


async def test_an_agent_that_declines_or_fails_has_cost_something_too(sandbox: Sandbox, job: Job) -> None:
    spent = """echo '{"cost_usd": 2}' > $RUNG_OUT/usage.json"""
    failed = await run(script(f"{spent}; exit 1"), sandbox, job)
    declining = script(f"{spent}; echo no > $RUNG_OUT/declined.txt")
    declined = await run(declining, sandbox, replace(job, scratch=job.scratch / "two"))
    assert (failed.outcome, failed.cost_usd, declined.outcome, declined.cost_usd) == ("failed", 2.0, "declined", 2.0)


async def test_no_link_or_device_that_an_agent_leaves_is_followed(sandbox: Sandbox, job: Job, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text = f"""
    cd $RUNG_OUT
    ln -s {secret} report.md; ln -s {secret} declined.txt; ln -s /dev/zero pull_request.md; mkfifo attempt.json
    """
    report = await run(script(text), sandbox, job)
    assert (report.outcome, report.text, report.pull_request, report.attempt) == ("done", "", None, None)


async def test_a_report_of_any_size_and_any_bytes_is_survived(
    sandbox: Sandbox, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await run(script("printf '\\377\\376ok' > $RUNG_OUT/report.md"), sandbox, job)
    assert report.text == "\ufffd\ufffdok"
    monkeypatch.setattr(agents, "TEXT_BYTES_MAX", 1)
    report = await run(script("echo long > $RUNG_OUT/report.md"), sandbox, replace(job, scratch=job.scratch / "two"))
    assert (report.outcome, report.code) == ("failed", "file_too_big")


@pytest.mark.parametrize(
    ("after", "outcome", "has_bundle"),
    [
        ("cat b.txt > /out/candidate.bundle", "done", True),
        ("exit 3", "done", False),
        ("exit 0", "failed", False),
        ("echo x > /out/candidate.bundle; exit 1", "failed", False),
        ("rm -f /out/candidate.bundle; ln -s /etc/passwd /out/candidate.bundle", "failed", False),
    ],
)
async def test_only_the_bundle_that_is_made_afterwards_is_taken(
    sandbox: Sandbox, job: Job, after: str, outcome: str, has_bundle: bool
) -> None:
    agent = script("echo b > b.txt; echo forged > $RUNG_OUT/candidate.bundle")
    report = await run(agent, sandbox, job, after=("/bin/sh", "-c", after))
    assert (report.outcome, report.bundle is not None) == (outcome, has_bundle)
    if report.bundle is not None:
        assert report.bundle.read_text() == "b\n"


async def test_a_program_of_the_host_is_shown_and_nothing_beside_it(sandbox: Sandbox, job: Job, tmp_path: Path) -> None:
    tools = tmp_path / "my tools"
    tools.mkdir()
    (tools / "secret").write_text("secret")
    agent = tools / "agent.sh"
    agent.write_text('#!/bin/sh\nls "$(dirname "$0")"\n')
    agent.chmod(0o755)
    assert (await run(parse_driver(f"exec:'{agent}'"), sandbox, job)).text == "agent.sh"


async def test_a_program_whose_place_is_taken_inside_lies_elsewhere(
    sandbox: Sandbox, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "TAKEN", (*agents.TAKEN, tmp_path))
    agent = tmp_path / "agent.py"
    agent.write_text("print('ran')\n")
    driver = parse_driver(f"exec:python {agent}")
    assert host_files(driver) == (agent,)
    assert (await run(driver, sandbox, replace(job, tools=host_files(driver)))).text == "ran"
    report = await run(driver, sandbox, replace(job, scratch=job.scratch / "two"))
    assert report.outcome == "failed"


async def test_a_prompt_too_long_for_an_argument_is_said_before_anything_runs(sandbox: Sandbox, job: Job) -> None:
    report = await run(script("true", "{prompt}"), sandbox, replace(job, prompt="x" * 200_000))
    assert (report.outcome, report.code) == ("failed", "prompt_too_long")


async def test_an_input_can_only_be_a_plain_name(sandbox: Sandbox, job: Job) -> None:
    with pytest.raises(ValueError, match="plain name"):
        await run(script("true"), sandbox, replace(job, inputs={"../escape": b""}))


async def test_output_is_told_while_the_agent_works(sandbox: Sandbox, job: Job) -> None:
    heard: list[bytes] = []
    await run(script("echo working"), sandbox, job, on_output=heard.append)
    assert b"working" in b"".join(heard)


async def test_the_embedded_agent_answers_an_empty_repository_by_declining(sandbox: Sandbox, job: Job) -> None:
    issue = json.dumps({"title": "t", "body": "b", "type": "bug"}).encode()
    planning = replace(job, phase=Phase.PLAN, can_write=False, inputs={"issue.md": b"# t\n\nb", "issue.json": issue})
    report = await run(parse_driver("repair"), sandbox, planning)
    assert report.outcome == "declined"
    assert report.reason
    assert report.cost_usd == 0.0


async def test_the_embedded_agent_restates_the_issue_as_its_intent(sandbox: Sandbox, job: Job) -> None:
    issue = json.dumps({"title": "The total is wrong", "body": "Ten pieces cost too much.\n```\n# x", "type": "bug"})
    asked = replace(job, phase=Phase.INTENT, can_write=False, inputs={"issue.json": issue.encode()})
    report = await run(parse_driver("repair"), sandbox, asked)
    assert (report.outcome, report.cost_usd) == ("done", 0.0)
    for part in ("# Intent", "The total is wrong", "Ten pieces cost too much.", "## Acceptance Criteria"):
        assert part in report.text

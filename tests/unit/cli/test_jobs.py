"""`kubiya job`: what it asks, what it prints, how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Kubiya
from .fake_api import KEY, FakeApi

NOW = "2026-01-01T00:00:00Z"
ADDRESS = "https://plane.test/api/v1/webhooks/j1/token"
FIRING: dict[str, Any] = {"id": "f1", "job_id": "j1", "trigger": "cron", "scheduled_at": NOW, "created_at": NOW}
FIRING |= {"outcome": "skipped", "reason": "execution r0 of this job still runs"}
JOB: dict[str, Any] = {"id": "j1", "name": "nightly", "trigger_type": "cron", "cron_schedule": "30 2 * * *"}
JOB |= {"planning_mode": "predefined_agent", "entity_type": "agent", "entity_id": "a1", "entity_name": "ops"}
JOB |= {
    "prompt_template": "Rotate \x1b[31mlogs",
    "overlap": "skip",
    "key_id": "k1",
    "created_at": NOW,
    "updated_at": NOW,
}
JOB |= {"next_at": "2999-01-01T00:00:00Z", "next_firings": ["2999-01-01T00:00:00Z"], "last_firing": FIRING}
SECRET = "signed-by-the-sender"


def asked(api: FakeApi) -> Any:
    return api.asked[-1].body


def test_a_list_says_when_it_fires_and_what_became_of_the_last_time(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["GET /api/v1/jobs"] = (200, [JOB])
    assert kubiya("job", "list") == 0
    said = capsys.readouterr().out
    assert "30 2 * * * (UTC)" in said and "in 35" in said and "skipped" in said and "ops" in said
    assert kubiya("job", "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["last_firing"]["outcome"] == "skipped"


def test_one_is_shown_whole_and_harmless(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["GET /api/v1/jobs/nightly"] = (200, {**JOB, "webhook_url": ADDRESS})
    assert kubiya("job", "get", "nightly") == 0
    said = capsys.readouterr().out
    assert ADDRESS in said and "still runs" in said and "2999-01-01" in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--cron", "@daily"], {"trigger_type": "cron", "cron_schedule": "@daily"}),
        (["--webhook"], {"trigger_type": "webhook"}),
        ([], {"trigger_type": "manual"}),
        (["--agent", "ops", "--disabled"], {"trigger_type": "manual", "entity_id": "ops", "enabled": False}),
        (["--team", "ops"], {"entity_type": "team", "entity_id": "ops"}),
        (["--catch-up", "2h", "--overlap", "allow"], {"catch_up_s": 7200, "overlap": "allow"}),
        (["--catch-up", "0"], {"catch_up_s": 0}),
        (["--queue", "q"], {"executor_type": "specific_queue", "worker_queue_name": "q"}),
        (["--environment", "e"], {"executor_type": "environment", "environment_name": "e"}),
        (
            ["--cwd", "/srv", "--env", "A=b=c"],
            {"execution_environment": {"working_dir": "/srv", "env_vars": {"A": "b=c"}}},
        ),
        (["--webhook", "--webhook-secret-env", "HOOK_SECRET"], {"webhook_secret": SECRET}),
        (["--webhook", "--webhook-secret-file", "-"], {"webhook_secret": SECRET}),
    ],
)
def test_options_become_a_job(
    words: list[str], body: dict[str, Any], api: FakeApi, kubiya: Kubiya, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["POST /api/v1/jobs"] = (201, JOB)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    assert kubiya("job", "create", "nightly", "--prompt", "p", *words, stdin=SECRET.encode() + b"\n") == 0
    assert {"name": "nightly", "prompt_template": "p", "entity_id": "default", **body}.items() <= asked(api).items()


@pytest.mark.parametrize(
    "words",
    [
        ["create", "j"],
        ["create", "j", "--prompt", "p", "--cron", "@daily", "--webhook"],
        ["create", "j", "--prompt", "p", "--prompt-file", "f"],
        ["create", "j", "--prompt", "p", "--queue", "q", "--anywhere"],
        ["create", "j", "--prompt", "p", "--agent", "a", "--team", "t"],
        ["create", "j", "--prompt", "p", "--catch-up", "2d"],
        ["create", "j", "--prompt", "p", "--catch-up", "soon"],
        ["create", "j", "--prompt", "p", "--env", "A"],
        ["create", "j", "--prompt", "p", "--webhook-secret-env", "NOT_SET"],
        ["create", "j", "--prompt", "p", "--webhook-secret-file", "no/such/file"],
        ["create", "j", "--prompt", "p", "--webhook", "--webhook-secret-file", "-"],
        ["update", "j"],
        ["trigger", "j", "--var", "a"],
        ["trigger", "j", "--payload", "["],
        ["trigger", "j", "--payload", "[1]"],
        ["delete", "j"],
    ],
)
def test_words_that_make_no_sense_ask_nothing(words: list[str], api: FakeApi, kubiya: Kubiya) -> None:
    assert kubiya("job", *words) == 2
    assert api.asked == []


def test_a_secret_is_too_short_and_is_not_repeated(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("tooshort")
    words = ("--prompt", "p", "--webhook", "--webhook-secret-file", str(tmp_path / "secret"))
    assert kubiya("job", "create", "j", *words) == 2
    said = capsys.readouterr().err
    assert "--webhook-secret" in said and "tooshort" not in said
    assert kubiya("job", "update", "j", *words[3:]) == 2
    assert "tooshort" not in capsys.readouterr().err


def test_an_update_names_only_what_changes(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["PATCH /api/v1/jobs/nightly"] = (200, JOB)
    assert kubiya("job", "update", "nightly", "--cron", "@hourly", "--no-webhook-secret", "--anywhere") == 0
    nowhere = {"executor_type": "auto", "worker_queue_name": None, "environment_name": None}
    assert asked(api) == {"cron_schedule": "@hourly", "webhook_secret": None, **nowhere}


def test_a_trigger_gives_values_and_a_skipped_one_is_refused(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    fired = {"firing_id": "f1", "job_id": "j1", "outcome": "fired", "execution_id": "r1"}
    api.answers["POST /api/v1/jobs/j/trigger"] = (200, fired)
    assert kubiya("job", "trigger", "j", "--var", "a=1", "--payload", '{"n": 1}') == 0
    assert asked(api) == {"variables": {"a": "1"}, "payload": {"n": 1}}
    said = capsys.readouterr()
    assert "r1" in said.out and "kubiya execution logs r1 --follow" in said.err
    skipped = {**fired, "outcome": "skipped", "execution_id": None, "reason": "execution r0 of this job still runs"}
    api.answers["POST /api/v1/jobs/j/trigger"] = (200, skipped)
    assert kubiya("job", "trigger", "j") == 4
    assert "still runs" in capsys.readouterr().out
    api.answers["POST /api/v1/jobs/j/trigger"] = (409, {"detail": "job 'j' was not fired: why", "code": "conflict"})
    assert kubiya("job", "trigger", "j") == 4
    assert "was not fired: why" in capsys.readouterr().err


def test_the_other_commands(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    run = {"id": "r1", "execution_id": "r1", "entity_id": "a1", "prompt": "p", "status": "running"}
    api.answers |= {
        "POST /api/v1/jobs/j/enable": (200, JOB),
        "POST /api/v1/jobs/j/disable": (200, JOB),
        "POST /api/v1/jobs/j/rotate-webhook": (200, {**JOB, "webhook_url": ADDRESS}),
        "GET /api/v1/jobs/j/firings": (200, [FIRING]),
        "GET /api/v1/jobs/j/executions": (200, [{**run, "created_at": NOW, "updated_at": NOW}]),
        "DELETE /api/v1/jobs/j": (204, None),
    }
    for words, said in (
        (("enable", "j"), "nightly"),
        (("disable", "j"), "nightly"),
        (("rotate-webhook", "j"), ADDRESS),
        (("firings", "j"), "execution r0 of this job still runs"),
        (("executions", "j"), "r1"),
    ):
        assert kubiya("job", *words) == 0
        assert said in capsys.readouterr().out
    assert kubiya("job", "delete", "j", "--yes") == 0
    assert "Deleted job j." in capsys.readouterr().err
    assert KEY not in str([one.path for one in api.asked])

"""Workers in containers of a real Docker: the images, plain `docker run`, and `kubiya worker start --type=docker`."""

import contextlib
import io
import json
import os
import pty
import random
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.launchers.docker import single
from kubiya_workers.launchers.docker.spec import IMAGE, ContainerWorker
from kubiya_workers.testing import Reply, ScriptedModel, error, tool
from tests import registry
from tests.cluster import pods
from tests.dockerd import CONTROL_PLANE, Docker, base, running, why_not

from .installation import Installation, kill, lines, ports_of_its_own
from .machine import KUBIYA, Machine, until

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

ABOVE_BASE = 250 * 10**6
NAME = "kubiya-worker-q"
Start = Callable[..., ScriptedModel]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Docker]:
    with running() as docker:
        yield docker


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    yield daemon
    daemon.clear()


@pytest.fixture
def served(installation: Installation, model: Start, docker: Docker) -> Callable[..., Installation]:
    """Starts a control plane on this machine, whose worker commands know the Docker of the tests."""

    def start(script: object = "Hello.") -> Installation:
        installation.machine.environ["DOCKER_HOST"] = docker.address
        # What a container works in, and as a user of its own.
        installation.machine.work.chmod(0o777)
        installation.serve(model(script).url)
        return installation

    return start


def shell(command: str) -> Reply:
    return tool("shell", {"command": command})


def start(installation: Installation, *words: str, **environ: str) -> Any:
    """`kubiya worker start --type=docker -d`, with the tests' directory mounted."""
    work = installation.machine.work
    done = installation.machine.run(
        *("worker", "start", "--queue-id=q", "--type=docker", "-d", f"--volume={work}:{work}", "-o", "json", *words),
        env=environ,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(installation: Installation) -> dict[str, Any]:
    return json.loads(installation.machine.run("worker", "status", "--queue-id=q", "-o", "json").stdout)


def inspect(docker: Docker, name: str = NAME) -> dict[str, Any]:
    return json.loads(docker.run("inspect", name))[0]


def plain_run(docker: Docker, installation: Installation, *words: str) -> str:
    """The manual's `docker run`, on this machine's network; its name."""
    work = installation.machine.work
    docker.run(
        *("run", "-d", "--name", "plain", "--network=host", "--volume", f"{work}:{work}"),
        *("-e", f"KUBIYA_API_KEY={installation.key}", "-e", f"CONTROL_PLANE_URL={installation.url}"),
        *("-e", "QUEUE_ID=q", "-e", "LOG_LEVEL=INFO", IMAGE, *words),
    )
    until(lambda: "] Ready" in docker.run("logs", "plain"), "the container's worker polls", 60)
    return "plain"


# --- the images


def test_the_images_are_small_private_and_run_as_nobody_special(docker: Docker) -> None:
    sizes = {name: json.loads(docker.run("image", "inspect", name))[0]["Size"] for name in (base(), IMAGE)}
    assert sizes[IMAGE] - sizes[base()] <= ABOVE_BASE
    for image in (IMAGE, CONTROL_PLANE):
        config = json.loads(docker.run("image", "inspect", image))[0]["Config"]
        assert config["User"] == "10001:0"
        assert config["Healthcheck"]["Test"][0] == "CMD"
        assert {setting.partition("=")[0] for setting in config["Env"]} == {"PATH", "HOME", "KUBIYA_HOME"}
        said = docker.run("history", "--no-trunc", image) + json.dumps(config)
        assert "API_KEY" not in said and "PIP_" not in said
    inside = "id -u; command -v pgrep; test -e /build || echo no trace of the build"
    said = docker.run("run", "--rm", "--network=none", IMAGE, "sh", "-c", inside).splitlines()
    assert said == ["10001", "/usr/bin/pgrep", "no trace of the build"]


def test_the_control_planes_image_serves(docker: Docker) -> None:
    # Without a network its own command, which listens on all addresses, reaches nobody.
    objects = "/home/kubiya/.kubiya/server/objects"
    docker.run("run", "-d", "--name", "server", "--network=none", "--volume", objects, CONTROL_PLANE)
    until(lambda: inspect(docker, "server")["State"]["Health"]["Status"] == "healthy", "it counts as healthy", 90)
    docker.run("exec", "server", "touch", f"{objects}/written")
    docker.run("stop", "--time=30", "server")
    assert inspect(docker, "server")["State"]["ExitCode"] == 0, docker.run("logs", "server")


# --- the plain `docker run`


def test_a_plain_container_drains_and_another_worker_goes_on(
    docker: Docker, served: Callable[..., Installation]
) -> None:
    slow = "echo begun >> marks.txt; sleep 4; echo ended >> marks.txt"
    installation = served([shell("echo first >> marks.txt"), shell(slow), shell("echo last >> marks.txt"), "all done"])
    plain = plain_run(docker, installation)
    assert docker.run("exec", plain, "pgrep", "-f", "worker.py")
    until(lambda: inspect(docker, plain)["State"]["Health"]["Status"] == "healthy", "it counts as healthy", 60)
    marks = installation.machine.work / "marks.txt"
    execution = installation.submit("go")
    until(lambda: "begun" in lines(marks), "the slow tool runs")
    docker.run("stop", "--time=45", plain)
    assert inspect(docker, plain)["State"]["ExitCode"] == 0
    assert "last" not in lines(marks)
    installation.start_worker()
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "all done")
    assert lines(marks) == ["first", "begun", "ended", "last"]
    installation.assert_the_log_is_whole(execution)
    assert "Disconnected" in docker.run("logs", plain)


def test_a_clusters_words_run_in_the_image(docker: Docker, served: Callable[..., Installation]) -> None:
    plain = plain_run(docker, served(), "kubiya", "worker", "start", "--queue-id=q", "--type=local")
    assert docker.run("exec", plain, "pgrep", "-f", "worker.py")


# --- kubiya worker start --type=docker


def test_a_worker_in_a_container_is_like_any_other(docker: Docker, served: Callable[..., Installation]) -> None:
    installation = served([shell("id -u; hostname > /dev/null; echo here > made.txt"), "I saw it"])
    machine = installation.machine
    record = start(installation, "--max-log-size=1Mi", "--max-log-backups=2", HEARTBEAT_INTERVAL="15")
    assert record["state"] == "running"
    seen = inspect(docker)
    assert seen["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert seen["HostConfig"]["LogConfig"]["Config"] == {"max-size": str(2**20), "max-file": "3"}
    assert seen["HostConfig"]["CapDrop"] == ["ALL"]
    assert installation.key not in json.dumps(seen) + docker.run("top", NAME, "-ef", "ww")

    execution = installation.submit("go")
    assert installation.ended(execution)["response"] == "I saw it"
    assert (machine.work / "made.txt").stat().st_uid == 10001
    now = status(installation)
    assert now["running"] and now["container"]["state"] == "running" and now["report"]["tasks_completed"] == 3
    (listed,) = json.loads(machine.run("worker", "list", "-o", "json").stdout)
    assert (listed["type"], listed["state"], listed["worker_id"]) == ("docker", "running", now["report"]["worker_id"])

    again = machine.run("worker", "start", "--queue-id=q", "--type=docker", "-d")
    assert again.returncode == 0 and "There is already" in again.stdout
    local = machine.run("worker", "start", "--queue-id=q", "--type=local", "-d")
    assert local.returncode == 4 and NAME in local.stderr

    assert "Ready" in machine.run("worker", "logs", "--queue-id=q", "--grep=Ready").stdout
    assert len(machine.run("worker", "logs", "--queue-id=q", "--tail=1").stdout.splitlines()) == 1
    assert "paused" in machine.run("worker", "pause", "--queue-id=q", "--note=moving").stdout
    assert status(installation)["pause"]["note"] == "moving"
    assert json.loads(machine.run("worker", "list", "-o", "json").stdout)[0]["state"] == "paused"
    assert "takes work again" in machine.run("worker", "resume", "--queue-id=q").stdout
    assert status(installation)["report"]["taking"]

    with machine.spawn("worker", "logs", "--queue-id=q", "--follow", "--tail=0") as following:
        assert machine.run("worker", "restart", "--queue-id=q").returncode == 0
        assert status(installation)["running"]
        following.until_said("] Ready")
        following.end(signal.SIGINT)
    refused = machine.run("worker", "clean", "--queue-id=q", "--yes")
    assert refused.returncode == 4 and "running" in refused.stderr
    assert "has stopped" in machine.run("worker", "stop", "--queue-id=q").stdout
    assert "No worker" in machine.run("worker", "stop", "--queue-id=q").stdout
    ended = machine.run("worker", "status", "--queue-id=q")
    assert ended.returncode == 1 and "stopped" in ended.stdout
    assert machine.run("worker", "clean", "--queue-id=q", "--yes").returncode == 0
    assert NAME not in docker.run("ps", "--all")
    assert machine.run("worker", "list").stdout == ""


def test_a_killed_container_comes_back_and_its_run_goes_on(docker: Docker, served: Callable[..., Installation]) -> None:
    installation = served([shell("echo first >> marks.txt"), shell("echo begun >> marks.txt; sleep 46"), "it was lost"])
    start(installation)
    marks = installation.machine.work / "marks.txt"
    execution = installation.submit("go")
    until(lambda: "begun" in lines(marks), "the slow tool runs")
    os.kill(inspect(docker)["State"]["Pid"], signal.SIGKILL)
    ended = installation.ended(execution, 90)
    assert (ended["status"], ended["response"]) == ("completed", "it was lost")
    assert lines(marks) == ["first", "begun"]
    installation.assert_the_log_is_whole(execution)
    now = status(installation)
    assert now["running"] and now["container"]["restarts"] == 1


def test_what_is_over_the_memory_limit_is_killed_and_the_worker_lives(
    docker: Docker, served: Callable[..., Installation]
) -> None:
    greedy = "python3 -c 'kept = bytearray(2 << 30); print(len(kept))'"
    installation = served([shell(greedy), "too much"])
    start(installation, MEMORY_LIMIT="400Mi", CPU_LIMIT="1500m")
    limits = inspect(docker)["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (400 * 2**20, 1_500_000_000)
    execution = installation.submit("go")
    assert installation.ended(execution)["response"] == "too much"
    (result,) = [e for e in installation.stored(execution) if e.type == "tool_completed"]
    assert str(2 << 30) not in json.dumps(result.fields)
    assert status(installation)["report"]["memory_limit"] == 400 * 2**20
    installation.machine.run("worker", "stop", "--queue-id=q")
    over = status(installation)
    assert (over["container"]["exit_code"], over["container"]["out_of_memory"]) == (0, False)


def test_in_the_foreground_its_log_and_status_are_the_commands(
    docker: Docker, served: Callable[..., Installation]
) -> None:
    installation = served()
    words = ("worker", "start", "--queue-id=q", "--type=docker")
    with installation.machine.spawn(*words) as command:
        command.until_said("] Ready", 90)
        assert inspect(docker)["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
        second = installation.machine.run(*words)
        assert second.returncode == 4 and "already" in second.stderr
        assert command.end() == 0, command.said()
    assert "Disconnected" in command.said()
    assert installation.key not in command.said()
    assert not inspect(docker)["State"]["Running"]


@pytest.mark.parametrize(("prompt", "expected"), [("go", 0), ("break", 1)])
def test_a_single_execution_ends_with_its_result(
    docker: Docker, served: Callable[..., Installation], prompt: str, expected: int
) -> None:
    installation = served({"break": [error(400)], "go": ["Hello."]})
    words = ("worker", "start", "--queue-id=q", "--type=docker", "--single-execution")
    with installation.machine.spawn(*words) as command:
        command.until_said("] Ready", 90)
        installation.ended(installation.submit(prompt))
        assert command.process.wait(60) == expected, command.said()


def test_a_killed_command_leaves_no_container_running(docker: Docker, served: Callable[..., Installation]) -> None:
    installation = served()
    with installation.machine.spawn("worker", "start", "--queue-id=q", "--type=docker") as command:
        command.until_said("] Ready", 90)
        command.process.kill()
        until(lambda: not inspect(docker)["State"]["Running"], "the container is stopped", 60)
    assert inspect(docker)["State"]["ExitCode"] == 0


@pytest.mark.parametrize("mode", [("-d",), ()])
def test_a_start_that_fails_says_why(
    docker: Docker, served: Callable[..., Installation], mode: tuple[str, ...]
) -> None:
    machine = served().machine
    words = ("worker", "start", "--queue-id=q", "--type=docker", *mode)
    wrong = machine.run(*words, env={"CONTROL_PLANE_URL": machine_url(machine), "KUBIYA_API_KEY": "kbw_wrong"})
    assert wrong.returncode == 3, wrong.stderr
    assert not inspect(docker)["State"]["Running"] and inspect(docker)["RestartCount"] == 0
    missing = machine.run(*words, "--image=nowhere.invalid/worker", "--pull=never")
    assert missing.returncode == 4 and "make image" in missing.stderr
    gone = machine.run(*words, "--image-tag=0.0.0")
    assert gone.returncode == 4 and "never pulled" in gone.stderr
    nobody = machine.run(*words, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert nobody.returncode == 5 and "no Docker daemon answers" in nobody.stderr


def machine_url(machine: Any) -> str:
    return json.loads((machine.home / ".kubiya" / "server" / "server.json").read_text())["url"]


# --- for a provisioner


def test_a_container_for_one_execution(
    docker: Docker, served: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = served("Hello from within.")
    monkeypatch.setenv("DOCKER_HOST", docker.address)
    installation.queue("once")
    worker = ContainerWorker(queue="once", url=installation.url, key=installation.key, name="kubiya-run-1")
    single.start(worker, "test", print)
    made = worker.name
    assert single.ended(made) is None and single.left_by("test") == [made] and single.left_by("other") == []
    execution = installation.submit("go", queue="once")
    assert installation.ended(execution)["response"] == "Hello from within."
    until(lambda: single.ended(made) is not None, "it ends by itself")
    assert single.ended(made) == single.Over(0, "")
    assert single.remove(made) and not single.remove(made)
    with pytest.raises(NotFound):
        single.ended(made)


def left(docker: Docker) -> list[str]:
    return docker.run("ps", "--all", "--quiet", "--filter", f"label={single.LABEL}").split()


def test_on_demand_it_is_a_container_that_goes_with_its_run(
    docker: Docker, installation: Installation, served: Callable[..., Installation]
) -> None:
    """Also when the control plane is killed meanwhile: the container works on, and the next one removes it."""
    installation.environ |= {"KUBIYA_PROVISIONER": "docker", "DOCKER_HOST": docker.address}
    machine = served({"fail": [error(400)], "go": [shell("id -u; pwd"), Reply("said late", delay_s=6)]}).machine
    with machine.spawn("exec", "--yes", "go") as run:
        run.until_said("✓ shell", 90)
        assert "10001" in run.said()
        (container,) = left(docker)
        assert installation.server is not None
        kill(installation.server)
        installation.start_server()
        assert run.process.wait(90) == 0, run.said()
        assert inspect(docker, container)["RestartCount"] == 0
    assert run.out.read_text() == "said late\n"
    until(lambda: not left(docker), "the container is removed", 40)

    failed = machine.run("exec", "--yes", "--keep-on-failure", "fail")
    assert failed.returncode == 1
    (name,) = re.findall(r"Remove it: +docker rm --force --volumes (\S+)", failed.stderr)
    assert "] Ready" in docker.run("logs", name)
    assert [inspect(docker, one)["Name"] for one in left(docker)] == [f"/{name}"]


@pytest.mark.skipif(registry.program() is None, reason="docker-registry is not here: scripts/setup fetches it")
@pytest.mark.parametrize("terminal", [False, True], ids=["lines", "bar"])
def test_an_image_is_pulled_and_how_far_is_told(
    docker: Docker, installation: Installation, tmp_path: Path, terminal: bool
) -> None:
    installation.machine.environ |= {"DOCKER_HOST": docker.address, "TERM": "xterm-256color"}
    content = tmp_path / "content.tar"
    with tarfile.open(content, "w") as archive:
        data = random.Random(7).randbytes(16 << 20)
        entry = tarfile.TarInfo("data")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    with registry.running(tmp_path, rate=12 << 20) as address:
        image = f"{address}/team/worker:2"
        docker.run("import", "--change", "USER 10001", str(content), image)
        docker.run("push", image)
        docker.run("rmi", image)
        words = ("worker", "start", "--queue-id=q", "--type=docker", f"--image={address}/team/worker", "--image-tag=2")
        said = on_terminal(installation.machine, *words) if terminal else installation.machine.run(*words).stderr
        pulled = docker.run("image", "inspect", "--format", "{{.Config.User}}", image)
        docker.clear()
        docker.run("rmi", image)
    assert pulled == "10001"
    assert f"Pulling {image}" in said and f"Pulled {image}" in said
    assert ("━" in said and "MB" in said) if terminal else re.search(r"  \d+ % of 1\d", said), said
    assert "kubiya" in said and "not found" in said, "there is no worker in it, which is said"


def on_terminal(machine: Machine, *words: str) -> str:
    """All that a command shows at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [KUBIYA, *words], cwd=machine.work, env=machine.environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as command:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end, once the command has ended
            while piece := os.read(ours, 65_536):
                shown += piece
        assert command.wait(60) != 0
    os.close(ours)
    return shown.decode()


# --- pods, as the manifests have them


def pod_completes(installation: Installation) -> None:
    execution = installation.submit("Say hello.", execution_environment={})
    assert installation.ended(execution)["response"] == "Hello from a pod."
    installation.assert_the_log_is_whole(execution)


def test_our_pod_serves_as_a_user_that_nobody_knows_and_writes_only_where_it_may(
    served: Callable[..., Installation], docker: Docker
) -> None:
    installation = served("Hello from a pod.")
    health, metrics = ports_of_its_own().values()
    instead = {
        "CONTROL_PLANE_URL": installation.url,
        "KUBIYA_API_KEY": installation.key,
        "QUEUE_ID": "q",
        # The pod's network is its own; here it is this machine's.
        "KUBIYA_HEALTH_ADDR": f"127.0.0.1:{health}",
        "METRICS_PORT": metrics,
    }
    worker = pods.run(docker, pods.OURS, instead, user=pods.SOMEBODY)
    probes = {name: worker[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    until(lambda: pods.answers(health, probes["startup"]), f"it is alive: {docker.run('logs', 'pod')}", 60)
    until(lambda: pods.answers(health, probes["readiness"]), f"it takes work: {docker.run('logs', 'pod')}", 60)
    assert pods.answers(health, probes["liveness"])
    assert f"{pods.SOMEBODY}" in docker.run("exec", "pod", "id", "-u")
    assert "kubiya_" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
    report = httpx.get(f"http://127.0.0.1:{health}/status").json()
    assert (report["hostname"], report["memory_limit"]) == ("kubiya-worker-7d9f-abcde", 2 * 1024**3)
    pod_completes(installation)
    docker.run("stop", "--time=45", "pod")
    assert inspect(docker, "pod")["State"]["ExitCode"] == 0, docker.run("logs", "pod")


def test_the_manuals_pod_is_healthy_by_its_own_probes(served: Callable[..., Installation], docker: Docker) -> None:
    installation = served("Hello from a pod.")
    instead = {"CONTROL_PLANE_URL": installation.url, "KUBIYA_API_KEY": installation.key, "QUEUE_ID": "q"}
    worker = pods.run(docker, pods.MANUAL, instead)

    def probe(name: str) -> Callable[[], str]:
        return lambda: docker.run("exec", "pod", *worker[f"{name}Probe"]["exec"]["command"], check=False)

    until(probe("readiness"), "its process is there", 60)
    until(lambda: "] Ready" in docker.run("logs", "pod"), "it polls", 60)
    assert probe("liveness")().split()[0].isdecimal()
    pod_completes(installation)
    docker.run("stop", "--time=45", "pod")
    assert inspect(docker, "pod")["State"]["ExitCode"] == 0, docker.run("logs", "pod")

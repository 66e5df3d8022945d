"""Workers of several queues on one machine, started at once where nothing runs yet."""

import json
import signal

from .machine import Machine, until

QUEUES = ("web", "data", "ops")


def test_workers_of_several_queues_start_at_once_with_nothing_running(machine: Machine) -> None:
    start = ("worker", "start", "--type=local")
    with (
        machine.spawn(*start, "--queue-id=web") as first,
        machine.spawn(*start, "--queue-id=data") as second,
        machine.spawn(*start, "--queue-id=ops") as third,
    ):
        started = (first, second, third)
        until(lambda: all("Ready" in one.err.read_text() + one.out.read_text() for one in started), "three workers", 90)
        assert len(machine.running(lambda words: "kubiya_workers.cli.serve" in words)) == 1
        for queue in QUEUES:
            done = machine.run("exec", "--queue", queue, "--yes", f"Run `echo from-{queue}`")
            assert done.returncode == 0, done.stderr
            assert f"from-{queue}" in done.stdout + done.stderr
            assert (machine.home / ".kubiya" / "workers" / queue).is_dir()

        # One run on each of them.
        each = machine.run("exec", "--queue", ",".join(QUEUES), "--yes", "-o", "json", "Run `basename $PWD; echo done`")
        assert each.returncode == 0, each.stderr
        runs = json.loads(each.stdout)
        assert len({run["execution_id"] for run in runs}) == len({run["worker_id"] for run in runs}) == len(QUEUES)
        assert all("done" in run["response"] for run in runs)

        # Whichever of them began the control plane: it stays for the others.
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(40) == 0
        left = machine.run("exec", "--queue", "ops", "--yes", "Run `echo still-there`")
        assert left.returncode == 0, left.stderr
    until(lambda: not machine.processes(), "nothing is left", 30)

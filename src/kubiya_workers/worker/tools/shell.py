"""The shell: one command line, with a time limit, and nothing left behind."""

from pathlib import Path

from kubiya_workers.agent.skill_limits import ShellLimits
from kubiya_workers.contracts.tools import ToolStatus

from .call import Call, Denied, Outcome, ToolFault
from .command import Command, End, execute
from .output import CappedOutput, LiveOutput
from .programs import Lists, Program


async def run(call: Call) -> Outcome:
    """`exit status: N` and the output, which are also passed on as they come."""
    limits = ShellLimits.model_validate(call.spec.config)
    program = _program(call, Lists(limits.allow, limits.deny))
    command = Command(program.path, program.words, _working_dir(call), call.environment)
    timeout = min(float(call.arguments.get("timeout", call.spec.timeout_s)), call.spec.timeout_s)
    kept = CappedOutput(call.spec.output_limit)
    live = LiveOutput(call.spec.output_limit, call.on_output)
    end = await execute(command, timeout=timeout, guard=call.guard, sinks=(kept, live))
    return _outcome(end, kept, timeout)


def _program(call: Call, lists: Lists) -> Program:
    command: str = call.arguments["command"]
    if lists.bind:
        return lists.admit(command, call.environment)
    shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
    return Program(shell, (shell, "-c", command))


def _working_dir(call: Call) -> Path:
    """Where the command starts. This keeps mistakes inside, not the command: a shell can go anywhere."""
    wanted = (call.directory / call.arguments.get("working_dir", ".")).resolve()
    if not wanted.is_relative_to(call.directory):
        raise Denied(f"working_dir must be inside {call.directory}.")
    if not wanted.is_dir():
        raise ToolFault(f"working_dir {wanted} does not exist. Make it first, or leave working_dir out.")
    return wanted


def _outcome(end: End, kept: CappedOutput, timeout: float) -> Outcome:
    status, text = end.status, kept.text()
    output = {
        "exit_status": status,
        "stdout": text,
        "truncated": kept.left_out > 0,
        "timed_out": end.timed_out,
    }
    if end.timed_out:
        error = f"timed out after {timeout:g} s"
        return Outcome(f"exit status: {status}\nEnded: it {error}.\n{text}", output, ToolStatus.FAILED, error)
    if status:
        return Outcome(f"exit status: {status}\n{text}", output, ToolStatus.FAILED, f"exit status {status}")
    return Outcome(f"exit status: 0\n{text}", output)

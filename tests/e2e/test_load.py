"""Many executions at once."""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx

from kubiya_workers.testing import ScriptedModel, tool

from .installation import Installation, lines
from .machine import until

COUNT = 200


def test_two_hundred_executions_at_once_on_one_worker(
    installation: Installation, model: Callable[..., ScriptedModel]
) -> None:
    scripts = {
        f"run {n:03}.": [tool("shell", {"command": f"echo {n} >> marks.txt"}), f"{n} done"] for n in range(COUNT)
    }
    scripted = model(scripts)
    installation.serve(scripted.url)
    installation.start_worker()
    executions = asyncio.run(submit_all(installation, list(scripts)))
    assert len(set(executions)) == COUNT

    def statuses() -> Counter[str]:
        rows = installation.call("GET", "/executions", params={"limit": 1000}).json()
        return Counter(row["status"] for row in rows)

    until(lambda: not set(statuses()) & {"pending", "running"}, "all of them end", 150)
    assert statuses() == {"completed": COUNT}
    marks = Counter(lines(installation.machine.work / "marks.txt"))
    assert marks == Counter({str(n): 1 for n in range(COUNT)})
    assert scripted.count == 2 * COUNT
    for n in range(0, COUNT, 10):
        assert installation.execution(executions[n])["response"] == f"{n} done"
        installation.assert_the_log_is_whole(executions[n])


async def submit_all(installation: Installation, prompts: list[str]) -> list[str]:
    """All at the same moment; the ids of the executions, in the prompts' order."""
    headers = {"Authorization": f"Bearer {installation.key}"}
    unlimited = httpx.Limits(max_connections=None)
    where = {"working_dir": str(installation.machine.work)}

    async with httpx.AsyncClient(base_url=installation.url, headers=headers, limits=unlimited, timeout=60) as client:

        async def submit(prompt: str) -> str:
            body = {"prompt": prompt, "worker_queue_id": "q", "execution_environment": where}
            answer = await client.post("/api/v1/agents/default/execute", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()["execution_id"]

        return await asyncio.gather(*map(submit, prompts))

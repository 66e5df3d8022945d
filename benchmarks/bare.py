"""What everything is compared with: one workflow with one activity that does nothing, on Temporal's SDK as it comes.

Run as `python -m benchmarks.bare HOST:PORT` it is the worker; the concurrency is read from the same variables as
our worker's.
"""

import asyncio
import os
import sys
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bare"


@activity.defn
async def answer(prompt: str) -> str:
    return f"Hello from {prompt}."


@workflow.defn
class Bare:
    @workflow.run
    async def run(self, prompt: str) -> str:
        return await workflow.execute_activity(answer, prompt, start_to_close_timeout=timedelta(seconds=60))


async def run_once(client: Client) -> str:
    """Start a workflow and wait for its result."""
    return await client.execute_workflow(Bare.run, "bare Temporal", id=str(uuid.uuid4()), task_queue=QUEUE)


async def work(address: str) -> None:
    worker = Worker(
        await Client.connect(address),
        task_queue=QUEUE,
        workflows=[Bare],
        activities=[answer],
        max_concurrent_activities=int(os.environ["MAX_CONCURRENT_ACTIVITIES"]),
        max_concurrent_workflow_tasks=int(os.environ["MAX_CONCURRENT_WORKFLOWS"]),
    )
    async with worker:
        print("Ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))

"""Workflows are tested inside the SDK's sandbox, which a worker of the product does without."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

# Only the vocabulary comes from outside: whatever of ours decides is loaded anew for each run, and watched.
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("kubiya_workers.contracts")
)
"""It refuses clocks, randomness, files and threads, and shares no state between two runs."""

"""Every command: its name, where it is, and its line of help. Importing this costs nothing."""

COMMANDS: dict[str, tuple[str, str]] = {
    "exec": ("kubiya_workers.cli.commands.exec:command", "Run a prompt on an agent or a team."),
    "plan": ("kubiya_workers.cli.commands.plan:group", "Plans: who would run a prompt, where, at what cost."),
    "execution": ("kubiya_workers.cli.commands.execution:group", "Look at runs, follow them, steer them."),
    "agent": ("kubiya_workers.cli.commands.agent:group", "Agents: who runs a prompt, with which model and skills."),
    "team": ("kubiya_workers.cli.commands.team:group", "Teams: agents that work on one prompt together."),
    "skill": ("kubiya_workers.cli.commands.skill:group", "Skills: bundles of tools with limits."),
    "model": ("kubiya_workers.cli.commands.model:group", "Models that agents can use."),
    "queue": ("kubiya_workers.cli.commands.queue:group", "Queues that workers poll."),
    "environment": ("kubiya_workers.cli.commands.environment:group", "Variables and queues that belong together."),
    "job": ("kubiya_workers.cli.commands.job:group", "Jobs: runs by schedule, by webhook, by hand."),
    "worker": ("kubiya_workers.cli.commands.worker:group", "Start workers, and see those that run."),
    "ui": ("kubiya_workers.cli.commands.ui:command", "Open the web interface of this machine's workers."),
    "server": ("kubiya_workers.cli.commands.server:group", "The control plane of this machine."),
    "usage": ("kubiya_workers.cli.commands.usage:command", "What model calls used and cost."),
    "key": ("kubiya_workers.cli.commands.key:group", "Keys to the control plane."),
    "config": ("kubiya_workers.cli.commands.config:group", "Which settings are in force, and where from."),
    "doctor": ("kubiya_workers.cli.commands.doctor:command", "Check that everything needed is there and works."),
    "completion": ("kubiya_workers.cli.commands.completion:command", "Completion for your shell."),
}

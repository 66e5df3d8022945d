"""The first messages of a run."""

from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.messages import Message, SystemMessage, UserMessage


def opening(agent: AgentSpec, prompt: str) -> tuple[Message, ...]:
    """What the model reads first: the agent's system prompt, where it has one, then the user's own words."""
    user = UserMessage(content=prompt)
    if not agent.system_prompt.strip():
        return (user,)
    return (SystemMessage(content=agent.system_prompt), user)

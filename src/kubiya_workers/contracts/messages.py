"""The conversation of an execution, one frozen type a role."""

from typing import Annotated, Literal

from pydantic import Field

from .wire import Wire


class ToolCall(Wire):
    """A tool call as the model wrote it: `arguments` is its raw JSON text, not yet trusted."""

    id: str
    name: str
    arguments: str


class SystemMessage(Wire):
    role: Literal["system"] = "system"
    content: str


class UserMessage(Wire):
    role: Literal["user"] = "user"
    content: str


class AssistantMessage(Wire):
    role: Literal["assistant"] = "assistant"
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ToolMessage(Wire):
    role: Literal["tool"] = "tool"
    tool_call_id: str
    content: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Price(Wire):
    """US dollars for a million tokens, as the provider's list said at `as_of`; `cached` for input tokens that the
    provider had in its cache."""

    input: float
    output: float
    cached: float
    as_of: str


class Usage(Wire):
    """Tokens and money of one or several model calls."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0

    def priced(self, price: Price | None) -> "Usage":
        """With its cost, unless whoever served the model said it, or no price is known."""
        if price is None or self.cost_usd:
            return self
        fresh = max(0, self.input_tokens - self.cached_tokens)
        cost = fresh * price.input + self.cached_tokens * price.cached + self.output_tokens * price.output
        return self.model_copy(update={"cost_usd": cost / 1_000_000})

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
        )

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

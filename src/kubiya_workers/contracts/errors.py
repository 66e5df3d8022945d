"""Refusals that have a meaning to every process: raised by services, carried as problems, raised again by clients.

`status` is the HTTP status that carries the refusal, `code` its stable machine-readable name.
"""


class Refusal(Exception):
    """Something was asked that cannot be done; `detail` says what and why, `fix` the next step."""

    status = 500
    code = "internal"

    def __init__(self, detail: str, *, fix: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix


class Invalid(Refusal):
    """The request itself is wrong."""

    status = 422
    code = "invalid"


class Unauthorized(Refusal):
    """No key, or one that is unknown, expired or revoked."""

    status = 401
    code = "unauthorized"


class Forbidden(Refusal):
    """A valid key without the scope for this."""

    status = 403
    code = "forbidden"


class NotFound(Refusal):
    """The named thing does not exist."""

    status = 404
    code = "not_found"


class Conflict(Refusal):
    """The thing is in a state that forbids this."""

    status = 409
    code = "conflict"


class BudgetExhausted(Refusal):
    """The budget of a key is used up."""

    status = 402
    code = "budget_exhausted"


class TooLarge(Refusal):
    """A body over the documented limit."""

    status = 413
    code = "too_large"


class TooManyRequests(Refusal):
    """Over a limit for now; `retry_after` is in seconds where it is known."""

    status = 429
    code = "too_many_requests"

    def __init__(self, detail: str, *, fix: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, fix=fix)
        self.retry_after = retry_after


class ModelFailed(Refusal):
    """A model that was asked gave no answer that is of use."""

    status = 502
    code = "model_error"


class Unavailable(Refusal):
    """A part that is needed does not answer."""

    status = 503
    code = "unavailable"


REFUSALS: dict[int, type[Refusal]] = {
    kind.status: kind
    for kind in (
        Invalid,
        Unauthorized,
        BudgetExhausted,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        TooManyRequests,
        Unavailable,
    )
}

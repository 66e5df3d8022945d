"""Every error answer in one shape: `Problem`, with the next step where there is one, never a stack trace."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubiya_workers.contracts.errors import REFUSALS, Refusal, TooManyRequests
from kubiya_workers.contracts.ids import new_id
from kubiya_workers.contracts.problems import Problem
from kubiya_workers.observability import logs

log = logs.get(__name__)

_TITLES = {400: "bad request", 405: "method not allowed"}


def problem_of(refusal: Refusal) -> Problem:
    return Problem(
        detail=refusal.detail,
        title=refusal.code.replace("_", " "),
        status=refusal.status,
        code=refusal.code,
        fix=refusal.fix,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, problem.status, headers, media_type="application/problem+json")


def answer_refusal(refusal: Refusal) -> Response:
    """The answer that carries a refusal, with `Retry-After` (whole seconds) or `WWW-Authenticate` where they belong."""
    headers: dict[str, str] = {}
    if isinstance(refusal, TooManyRequests) and refusal.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(refusal.retry_after)))
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return answer(problem_of(refusal), headers)


def install(app: FastAPI) -> None:
    """Make the application answer refusals, bad requests and unknown paths with problems."""

    async def on_refusal(_: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refusal)
        return answer_refusal(refusal)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        detail = in_words(error.errors())
        return answer(Problem(detail=detail, title="invalid", status=422, code="invalid"))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(_http_problem(request, error), error.headers)

    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def in_words(errors: Sequence[Any]) -> str:
    """Pydantic's errors as one sentence a field: "limit: input should be less than or equal to 1000"."""
    return "; ".join(_in_words(error) for error in errors)


def _in_words(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    message = message[:1].lower() + message[1:]
    if error["type"] == "json_invalid":
        return f"the body is not JSON: {error.get('ctx', {}).get('error', message)}"
    where = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
    return f"{'.'.join(where) or 'the body'}: {message}"


def _http_problem(request: Request, error: HTTPException) -> Problem:
    refusal = REFUSALS.get(error.status_code)
    code = refusal.code if refusal else _TITLES.get(error.status_code, "error").replace(" ", "_")
    detail = str(error.detail)
    if error.status_code in (404, 405):
        detail = f"there is no {request.method} {request.url.path} here"
    return Problem(detail=detail, title=code.replace("_", " "), status=error.status_code, code=code)


class Edge:
    """The outermost layer: an error that nobody expected becomes a 500 whose id is also in the log.

    A path may begin with several slashes: some clients join it to an address that ends in one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith("//"):
            scope = {
                **scope,
                "path": _one_slash(scope["path"]),
                "raw_path": _one_slash(scope["raw_path"].decode()).encode(),
            }
        await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # the HTTP edge
            if begun:
                raise
            await _unexpected(scope, error)(scope, receive, send)


def _unexpected(scope: Scope, error: Exception) -> Response:
    if isinstance(error, Refusal):
        return answer_refusal(error)
    error_id = new_id()
    log.error("unexpected error", error, error_id=error_id, method=scope["method"], path=_path_to_log(scope))
    detail = f"something went wrong here that should not; the log has it under {error_id}"
    return answer(Problem(detail=detail, title="internal", status=500, code="internal"))


def _path_to_log(scope: Scope) -> str:
    """Without the part that is a secret, where a route takes one."""
    token: str = scope.get("path_params", {}).get("token", "")
    return scope["path"].replace(token, "…") if token else scope["path"]


def _one_slash(path: str) -> str:
    return "/" + path.lstrip("/")

"""Route class that skips FastAPI's dependency injection."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send


class Options(BaseModel):
    """Query parameters of /predict."""

    top: int = Field(3, ge=1, le=1000, description="Number of classes to return.")
    explain: bool = Field(False, description="Whether to add an explanation.")


_DEFAULTS = Options()


class DirectRoute(APIRoute):
    """A route that calls `endpoint(request, options)` without FastAPI's dependency injection.

    Resolving arguments and dependencies takes FastAPI as long as the network takes for an image
    (docs/experiments.md). The endpoint therefore takes exactly these two arguments. FastAPI still documents it.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. Raises RequestValidationError for invalid query parameters."""
        request = Request(scope, receive)
        response = await self.endpoint(request, _options(request) if scope["query_string"] else _DEFAULTS)
        await response(scope, receive, send)


def _options(request: Request) -> Options:
    try:
        return Options.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error

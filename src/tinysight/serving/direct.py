"""A short way to the one endpoint that has to be fast."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send


class Options(BaseModel):
    """What a request for an answer may say in its address."""

    top: int = Field(3, ge=1, le=1000, description="How many classes to name.")
    explain: bool = Field(False, description="Whether to say why.")


_USUAL = Options()


class DirectRoute(APIRoute):
    """A route that FastAPI describes, and that is taken past it: `endpoint(request, options)`.

    What FastAPI does to find out arguments and dependencies takes as long as the network does for a picture
    (docs/experiments.md), so an endpoint of this kind can have no others.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises RequestValidationError for options that are none."""
        request = Request(scope, receive)
        response = await self.endpoint(request, _options(request) if scope["query_string"] else _USUAL)
        await response(scope, receive, send)


def _options(request: Request) -> Options:
    try:
        return Options.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error

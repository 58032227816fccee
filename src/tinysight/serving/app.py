"""The HTTP application: a picture in, an answer out, and a page to drop pictures on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tinysight.serving.answers import Answer, ModelFacts, Problem
from tinysight.serving.desk import Desk
from tinysight.serving.direct import DirectRoute, Options
from tinysight.serving.headers import Headers
from tinysight.serving.intake import TYPES, require_token
from tinysight.serving.limits import Limits
from tinysight.serving.site import site
from tinysight.serving.subject import Served

_PROBLEMS = {status: {"model": Problem} for status in (400, 401, 413, 415, 422, 429, 503)}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": dict.fromkeys(TYPES, _PICTURE)}}


def create_app(served: Served, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """Return the application that serves one run.

    Args:
        served: the run.
        limits: what it bears.
        token: what every request for an answer must carry; None lets everybody ask.
    """
    desk = Desk(served, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk.open()
        yield
        desk.close()

    app = FastAPI(title="tinysight", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Headers)
    app.exception_handler(HTTPException)(_reason)
    app.exception_handler(RequestValidationError)(_misspelt)
    _predicting(app, desk, token)
    app.include_router(_questions(desk, token))
    app.include_router(_figures(desk))
    app.include_router(site())
    return app


def _predicting(app: FastAPI, desk: Desk, token: str | None) -> None:
    """Add what all this is for."""
    app.router.route_class = DirectRoute

    @app.post("/predict", response_model=Answer, responses=_PROBLEMS, openapi_extra=_BODY)  # type: ignore[arg-type]
    async def predict(request: Request, options: Annotated[Options, Query()]) -> Response:
        """Say what is on the picture that is the body of the request."""
        require_token(request, token)
        answer = await desk.answer(request, options.top, options.explain)
        return Response(answer.model_dump_json(), media_type="application/json")


def _questions(desk: Desk, token: str | None) -> APIRouter:
    """Return what else needs the token, if there is one."""

    async def allowed(request: Request) -> None:
        require_token(request, token)

    router = APIRouter(dependencies=[Depends(allowed)])

    @router.get("/model", response_model=ModelFacts)
    async def model() -> ModelFacts:
        """Say what a user must know of the classifier."""
        desk.remember()  # whoever asks this will ask for reasons, too
        return desk.served.facts

    return router


def _figures(desk: Desk) -> APIRouter:
    """Return what whoever runs the server asks."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Say whether it would take one more picture."""
        return JSONResponse({"ready": desk.ready}, 200 if desk.ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Tell what has been answered, in the format of Prometheus."""
        return Response(desk.figures.text(), media_type="text/plain; version=0.0.4")

    return router


async def _reason(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"reason": error.detail}, error.status_code, error.headers)


async def _misspelt(request: Request, error: Exception) -> JSONResponse:
    """Say in one sentence which part of the address is not understood."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    return JSONResponse({"reason": f"{first['loc'][-1]}: {first['msg']}."}, 422)

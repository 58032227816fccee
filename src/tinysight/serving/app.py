"""FastAPI application: prediction endpoint, health, metrics, web page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from tinysight.serving.http import (
    FORM_TYPE,
    IMAGE_TYPES,
    SECURITY_HEADERS,
    FastRoute,
    PredictOptions,
    SecurityHeaders,
    require_token,
    static_routes,
)
from tinysight.serving.schemas import ErrorResponse, LabelsResponse, ModelInfo, PredictResponse, Readiness
from tinysight.serving.served_model import ServedModel
from tinysight.serving.service import PredictionService, RequestLimits

_ERROR_RESPONSES = {status: {"model": ErrorResponse} for status in (400, 401, 413, 415, 422, 429, 500, 503)}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary", "description": "the image, under any name"}},
        "required": ["file"],
    }
}
_CONTENT = {**dict.fromkeys((*IMAGE_TYPES, "application/octet-stream"), _BINARY), FORM_TYPE: _FORM}
_REQUEST_BODY = {"requestBody": {"required": True, "content": _CONTENT}}


def create_app(model: ServedModel, limits: RequestLimits | None = None, token: str | None = None) -> FastAPI:
    """Return the application that serves one run.

    Args:
        model: the run.
        limits: request limits of this process.
        token: bearer token required by /predict and /model; None disables authentication.
    """
    service = PredictionService(model, limits or RequestLimits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.warm_up()
        yield
        service.close()

    app = FastAPI(title="tinysight", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(SecurityHeaders)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(Exception)(_internal_error)
    _add_predict(app, service, token)
    app.include_router(_model_routes(service, token))
    app.include_router(_status_routes(service))
    app.include_router(static_routes())
    return app


def _add_predict(app: FastAPI, service: PredictionService, token: str | None) -> None:
    """Add the prediction endpoint."""
    app.router.route_class = FastRoute

    response_type = LabelsResponse if service.model.classifier.task == "multi-label" else PredictResponse

    @app.post("/predict", response_model=response_type, responses=_ERROR_RESPONSES, openapi_extra=_REQUEST_BODY)  # type: ignore[arg-type]
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Classify the image in the request body, or the file of a form."""
        require_token(request, token)
        response = await service.predict(request, options.top, options.explain)
        return Response(response.model_dump_json(), media_type="application/json")


def _model_routes(service: PredictionService, token: str | None) -> APIRouter:
    """Return the other routes that need the token."""

    async def authorize(request: Request) -> None:
        require_token(request, token)

    router = APIRouter(dependencies=[Depends(authorize)])

    @router.get("/model", response_model=ModelInfo, responses={401: {"model": ErrorResponse}})
    async def model() -> ModelInfo:
        """Describe the classifier: classes, accuracy, intended use."""
        service.build_index()  # the web page loads this first and requests explanations next
        return service.model.info

    return router


def _status_routes(service: PredictionService) -> APIRouter:
    """Return the routes for monitoring, which need no token."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Liveness probe."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz() -> JSONResponse:
        """Readiness probe: 503 while the maximum number of requests is in flight."""
        return JSONResponse({"ready": service.is_ready}, 200 if service.is_ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Request counts and latencies in Prometheus format."""
        return Response(service.metrics.to_prometheus(), media_type="text/plain; version=0.0.4")

    return router


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"reason": error.detail}, error.status_code, error.headers)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    """Return the first invalid query parameter as one sentence."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    return JSONResponse({"reason": f"{first['loc'][-1]}: {first['msg']}."}, 422)


async def _internal_error(request: Request, error: Exception) -> JSONResponse:
    """Return status 500; the server logs the error. This response does not pass the middleware."""
    return JSONResponse({"reason": "Server: internal error. See its log."}, 500, SECURITY_HEADERS)

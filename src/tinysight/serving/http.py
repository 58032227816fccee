"""HTTP details: body limits, token, security headers, fast route, static files."""

from __future__ import annotations

import secrets
from importlib import resources

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body of a request, an image of at most `max_bytes` bytes.

    Raises:
        HTTPException: 415 for another content type, 413 for too many bytes, 400 for an empty body.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in IMAGE_TYPES:
        raise HTTPException(
            415,
            f"Content-Type: is not an image type. Send the image as the body, with one of {', '.join(IMAGE_TYPES)}.",
        )
    too_large = f"Image: has more than {max_bytes >> 20} MiB. Send a smaller image."
    content_length = request.headers.get("content-length", "0")
    content = bytearray()
    if not content_length.isdigit() or int(content_length) > max_bytes:
        raise HTTPException(413, too_large)
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise HTTPException(413, too_large)
    if not content:
        raise HTTPException(400, "Request body: is empty. Send the image as the body.")
    return bytes(content)


def require_token(request: Request, token: str | None) -> None:
    """Raise HTTPException (401) unless the request carries `token`; None accepts every request."""
    if token is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not secrets.compare_digest(given.encode(), token.encode()):
        raise HTTPException(
            401,
            "Token: is missing or wrong. Send the header Authorization: Bearer TOKEN.",
            {"WWW-Authenticate": "Bearer"},
        )


# Allows only the page's own files: no other origin, no inline script, no frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class SecurityHeaders:
    """ASGI middleware that adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request and add the headers to its response."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


class PredictOptions(BaseModel):
    """Query parameters of /predict."""

    top: int = Field(3, ge=1, le=1000, description="Number of classes to return.")
    explain: bool = Field(False, description="Whether to add an explanation.")


_DEFAULTS = PredictOptions()


class FastRoute(APIRoute):
    """A route that calls `endpoint(request, options)` without FastAPI's dependency injection.

    Resolving arguments and dependencies takes FastAPI as long as the network takes for an image
    (docs/experiments/serving-in-process.md). The endpoint therefore takes exactly these two arguments. FastAPI still
    documents it.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. Raises RequestValidationError for invalid query parameters."""
        request = Request(scope, receive)
        response = await self.endpoint(request, _options(request) if scope["query_string"] else _DEFAULTS)
        await response(scope, receive, send)


def _options(request: Request) -> PredictOptions:
    try:
        return PredictOptions.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


_FILES = {"page.css": "text/css", "page.js": "text/javascript"}


def static_routes() -> APIRouter:
    """Return the routes of the web page; other file names get status 404."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return _file("page.html", "text/html; charset=utf-8")

    @router.get("/{name}")
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404, "Not found.")
        return _file(name, _FILES[name])

    return router


def _file(name: str, media_type: str) -> Response:
    content = resources.files("tinysight.serving").joinpath("page", name).read_bytes()
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

"""HTTP details: body limits, token, security headers, fast route, static files."""

from __future__ import annotations

import reprlib
import secrets
from functools import partial
from importlib import resources
from pathlib import PurePath

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tinysight.serving.multipart import MAX_ENVELOPE_BYTES, file_of_form

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif")
FORM_TYPE = "multipart/form-data"
# Types that clients send if they know no better: "" without the header, the second by curl --data-binary.
_UNKNOWN_TYPES = ("", "application/x-www-form-urlencoded", "application/octet-stream", "binary/octet-stream")
_MAX_LENGTH_DIGITS = 18  # of a Content-Length; Python refuses to convert thousands of digits


async def read_image(request: Request, max_bytes: int) -> bytes:
    """Return the image in a request, of at most `max_bytes` bytes: its body, or the file of its form.

    The format of the image is that of its content, whatever image type the request states.

    Raises:
        HTTPException: 415 for the content type of something else, 413 for too many bytes, 400 for an empty, incomplete
            or damaged body.
    """
    stated = request.headers.get("content-type", "")
    content_type = stated.partition(";")[0].strip().lower()
    if content_type == FORM_TYPE:
        image = file_of_form(await _read_body(request, max_bytes + MAX_ENVELOPE_BYTES, max_bytes), stated)
        if len(image) > max_bytes:
            raise _too_large(max_bytes)
        return image
    if content_type not in _UNKNOWN_TYPES and not content_type.startswith("image/"):
        reason = f"Content-Type: is {reprlib.repr(content_type)}, not an image type."
        raise HTTPException(415, f"{reason} Send the image as the body, or as the file of a form.")
    return await _read_body(request, max_bytes, max_bytes)


async def _read_body(request: Request, max_body_bytes: int, max_bytes: int) -> bytes:
    """Return the body of a request if it has at most `max_body_bytes`; messages state `max_bytes`."""
    content_length = request.headers.get("content-length", "0").lstrip("0") or "0"
    if not content_length.isdecimal():
        raise HTTPException(400, "Content-Length: is not a number. Send the number of bytes of the image.")
    if len(content_length) > _MAX_LENGTH_DIGITS or int(content_length) > max_body_bytes:
        raise _too_large(max_bytes)
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > max_body_bytes:
                raise _too_large(max_bytes)
    except ClientDisconnect as error:
        raise HTTPException(400, "Request body: ended early. Send the image again.") from error
    if not content:
        raise HTTPException(400, "Request body: is empty. Send the image as the body.")
    return bytes(content)


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"Image: has more than {max_bytes >> 20} MiB. Send a smaller image.")


def require_token(request: Request, token: str | None) -> None:
    """Raise HTTPException (401) unless the request carries `token`; None accepts every request."""
    if token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), token.encode()):
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
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class SecurityHeaders:
    """ASGI middleware that adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request and add the headers to its response."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_RAW_HEADERS]
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
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # status 405
            return
        request = Request(scope, receive)
        response = await self.endpoint(request, _options(request) if scope["query_string"] else _DEFAULTS)
        await response(scope, receive, send)


def _options(request: Request) -> PredictOptions:
    try:
        return PredictOptions.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


_FILES = {"": "page.html", "page.css": "page.css", "page.js": "page.js"}
_MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}


def static_routes() -> APIRouter:
    """Return the routes of the web page."""
    router = APIRouter(include_in_schema=False)
    for path, name in _FILES.items():
        router.add_api_route(f"/{path}", partial(_file, name), response_model=None)
    return router


async def _file(name: str) -> Response:
    file = resources.files("tinysight.serving").joinpath("page", name)
    media_type = _MEDIA_TYPES[PurePath(name).suffix]
    return Response(file.read_bytes(), media_type=media_type, headers={"Cache-Control": "no-cache"})

"""Request body and authorization."""

from __future__ import annotations

import secrets

from fastapi import HTTPException, Request

TYPES = ("image/jpeg", "image/png", "image/webp")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request, an image of at most `limit` bytes.

    Raises:
        HTTPException: 415 for another content type, 413 for too many bytes, 400 for an empty body.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in TYPES:
        raise HTTPException(
            415, f"Content-Type: is not an image type. Send the image as the body, with one of {', '.join(TYPES)}."
        )
    too_large = f"Image: has more than {limit >> 20} MiB. Send a smaller image."
    content_length = request.headers.get("content-length", "0")
    content = bytearray()
    if not content_length.isdigit() or int(content_length) > limit:
        raise HTTPException(413, too_large)
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
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

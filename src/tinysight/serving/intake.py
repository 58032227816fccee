"""What comes in by HTTP: read within limits, refused with the status that says why."""

from __future__ import annotations

import secrets

from fastapi import HTTPException, Request

TYPES = ("image/jpeg", "image/png", "image/webp")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request, which must be a picture of at most `limit` bytes.

    Raises:
        HTTPException: 415 for another type, 413 for too many bytes, 400 for none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise HTTPException(415, f"Send the picture as the body, with a Content-Type of {', '.join(TYPES)}.")
    announced = request.headers.get("content-length", "0")
    content = bytearray()
    if not announced.isdigit() or int(announced) > limit:
        raise HTTPException(413, f"The picture has more than {limit >> 20} MiB; make it smaller.")
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise HTTPException(413, f"The picture has more than {limit >> 20} MiB; make it smaller.")
    if not content:
        raise HTTPException(400, "The body is empty; send the picture as the body.")
    return bytes(content)


def require_token(request: Request, token: str | None) -> None:
    """Raise HTTPException, 401, unless the request carries the token, if there is one."""
    if token is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not secrets.compare_digest(given.encode(), token.encode()):
        raise HTTPException(401, "Say the token: Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})

"""Static files of the web page."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, HTTPException, Response

_FILES = {"page.css": "text/css", "page.js": "text/javascript"}


def site() -> APIRouter:
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

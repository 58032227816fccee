"""The files of the page, out of the package."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, HTTPException, Response

_FILES = {"page.css": "text/css", "page.js": "text/javascript"}


def site() -> APIRouter:
    """Return the page and what it is made of; nothing else can be asked for by name."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return _file("page.html", "text/html; charset=utf-8")

    @router.get("/{name}")
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404, "There is nothing here.")
        return _file(name, _FILES[name])

    return router


def _file(name: str, kind: str) -> Response:
    content = resources.files("tinysight.serving").joinpath("page", name).read_bytes()
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

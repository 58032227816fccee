"""Which packages tinysight needs, and which are installed, without importing any of them."""

from __future__ import annotations

import re
from importlib import metadata

from tinysight.errors import InputError


def requirements() -> dict[str, list[str]]:
    """Return the names of the packages tinysight needs: under "" always, under an extra's name for that extra."""
    try:
        lines = metadata.requires("tinysight") or []
    except metadata.PackageNotFoundError:  # the source is on the path, but not installed
        return {}
    needed: dict[str, list[str]] = {}
    for line in lines:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        needed.setdefault(extra[1] if extra else "", []).append(name)
    return needed


def version(name: str) -> str | None:
    """Return the installed version of the package `name`, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def require(name: str, extra: str) -> None:
    """Raise InputError, which says how to get it, unless the package `name` of an extra is installed."""
    if version(name) is None:
        raise InputError(f"This needs {name}, which is not installed: pip install 'tinysight[{extra}]'.")

"""Required and optional dependencies, and their installed versions.

The functions import `importlib.metadata` themselves: it takes a tenth of the command line's start-up time.
"""

from __future__ import annotations

import re

from tinysight._util.errors import InputError


def requirements() -> dict[str, list[str]]:
    """Return the required packages by extra; the key "" holds the core dependencies."""
    from importlib import metadata

    try:
        lines = metadata.requires("tinysight") or []
    except metadata.PackageNotFoundError:  # imported from source, not installed
        return {}
    packages: dict[str, list[str]] = {}
    for line in lines:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        packages.setdefault(extra[1] if extra else "", []).append(name)
    return packages


def version(name: str) -> str | None:
    """Return the installed version of the package `name`, or None if it is missing."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def require(name: str, extra: str) -> None:
    """Raise InputError with the pip command if the package `name` of `extra` is not installed."""
    if version(name) is None:
        raise InputError(f"{name}: not installed. Run pip install 'tinysight[{extra}]'.")

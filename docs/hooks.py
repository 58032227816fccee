"""MkDocs hook: navigation entries that list a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Replace every top-level entry `Title: folder/` of the navigation with the pages of that folder."""
    config["nav"] = [_expand(entry, Path(config["docs_dir"])) for entry in config["nav"]]
    config["nav"] = [entry for entry in config["nav"] if list(entry.values()) != [[]]]
    return config


def _expand(entry: dict[str, Any], docs: Path) -> dict[str, Any]:
    """Return `entry` with its folder as a list of pages, index.md first; the list is empty without the folder."""
    [(title, target)] = entry.items()
    if not (isinstance(target, str) and target.endswith("/")):
        return entry
    pages = sorted((docs / target).glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
    return {title: [page.relative_to(docs).as_posix() for page in pages]}

"""Registry of audit sections: every `AuditSection` in `tinysight.auditing.sections`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from inspect import isabstract
from typing import Any

from tinysight.auditing import sections as package
from tinysight.auditing.section import AuditSection, Requirement
from tinysight.reporting.section import ReportSection
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run

MAX_ROWS = 16  # of each table in the report

_NOT_MEASURED = "not measured"
_REASONS: dict[Requirement, str] = {
    "dataset": _NOT_MEASURED,
    "groups_file": f"{_NOT_MEASURED}: no groups file was given",
    "shadow_models": f"{_NOT_MEASURED}: no time for shadow models",
}


def _discover() -> tuple[AuditSection[Any], ...]:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    kinds = (kind for kind in _subclasses(AuditSection) if kind.__module__.startswith(f"{package.__name__}."))
    return tuple(sorted((kind() for kind in kinds if not isabstract(kind)), key=lambda section: section.order))


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    return [each for subclass in kind.__subclasses__() for each in (subclass, *_subclasses(subclass))]


SECTIONS = _discover()
"""One instance of each section, in the order of the report."""


def report_sections(run: Run) -> tuple[ReportSection, ...]:
    """Return the sections of the run's audit for the report and the card; missing ones read "not measured".

    Raises:
        RunError: audit.json is damaged or from a different version.
    """
    audit = RunArtifacts(run).audit()
    if audit is None:
        return tuple(ReportSection(section.heading, _NOT_MEASURED) for section in SECTIONS)
    results = [(section, audit.result(section)) for section in SECTIONS]
    return tuple(
        ReportSection(section.heading, _REASONS[section.requires], missing=section.requires)
        if result is None
        else ReportSection(section.heading, section.summarize(result), section.rows(result, MAX_ROWS))
        for section, result in results
    )

"""Registry of audit sections: every `AuditSection` in `tinysight.auditing.sections`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from inspect import isabstract
from typing import Any

from tinysight.auditing import sections as package
from tinysight.auditing.section import AuditSection, Requirement
from tinysight.data.labels import Task
from tinysight.reporting.section import ReportSection
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit
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

    Sections that need one class per image say what to do instead if images may have several labels.

    Raises:
        RunError: audit.json is damaged or from a different version.
    """
    audit, task = RunArtifacts(run).audit(), run.task()
    return tuple(_report(section, audit, task) for section in SECTIONS)


def _report(section: AuditSection[Any], audit: Audit | None, task: Task) -> ReportSection:
    if not section.supports(task):
        return ReportSection(section.heading, f"{_NOT_MEASURED}: needs one class per image; {section.instead}")
    if audit is None:
        return ReportSection(section.heading, _NOT_MEASURED)
    result = audit.result(section)
    if result is None:
        return ReportSection(section.heading, _REASONS[section.requires], missing=section.requires)
    return ReportSection(section.heading, section.summarize(result), section.rows(result, MAX_ROWS))

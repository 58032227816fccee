"""Summaries of audit sections in a sentence, for the terminal, the card and the report."""

from __future__ import annotations

from tinysight.formatting import percent
from tinysight.runs.findings import Audit, Duplicates, Gap, Robustness, Strangeness, WrongLabels

HEADINGS = (
    "corruption robustness",
    "out-of-distribution",
    "near-duplicates",
    "subgroups",
    "groups",
    "label errors",
    "membership inference",
)


def told(found: Audit | None) -> dict[str, str]:
    """Return a summary of each audit section by heading; sections without results read "not measured"."""
    missing = "not measured"
    if found is None:
        return dict.fromkeys(HEADINGS, missing)
    no_shadows = f"{missing}: no time for shadow models; give more --minutes"
    sections = (
        _robustness(found.robustness) if found.robustness else missing,
        _ood(found.strangers) if found.strangers else missing,
        _near_duplicates(found.duplicates) if found.duplicates else missing,
        _gaps(found.gaps) if found.gaps is not None else missing,
        _gaps(found.groups) if found.groups is not None else f"{missing}: give a file with --groups",
        _label_errors(found.labels) if found.labels else no_shadows,
        found.membership.words if found.membership else no_shadows,
    )
    return dict(zip(HEADINGS, sections, strict=True))


def _robustness(result: Robustness) -> str:
    worst = min(result.means, key=result.means.__getitem__)
    return (
        f"mean accuracy {percent(result.mean)} corrupted vs {percent(result.clean)} clean (n = {result.n:,}); "
        f"worst: {worst}, {percent(result.means[worst])}"
    )


def _ood(result: Strangeness) -> str:
    aurocs = ", ".join(f"{name} {auroc:.2f}" for name, auroc in result.auroc.items())
    return f"AUROC of detection: {aurocs} (n = {result.n:,} per kind; 0.50 is chance)"


def _near_duplicates(result: Duplicates) -> str:
    return (
        f"{result.across:,} of {result.test:,} test images have a near-duplicate among the training or validation "
        f"images; accuracy {percent(result.accuracy_without[0])} without them (n = {result.test - result.across:,}), "
        f"{percent(result.accuracy[0])} with them (n = {result.test:,})"
    )


def _gaps(gaps: tuple[Gap, ...]) -> str:
    significant = [gap for gap in gaps if gap.alarm]
    if not significant:
        return f"no significant gap among {len(gaps):,} comparisons"
    widest = max(significant, key=lambda gap: abs(gap.gap))
    return f"{len(significant):,} of {len(gaps):,} gaps are significant; widest: {in_words(widest)}"


def in_words(gap: Gap) -> str:
    """Return a gap as a clause, such as "accuracy 80.1% for light dark (n = 312), 91.0% for all others"."""
    names = {
        "accuracy": "accuracy",
        "missed": f"false-negative rate of {gap.class_name}",
        "mistaken": f"false-positive rate of {gap.class_name}",
    }
    return (
        f"{names[gap.figure]} {percent(gap.share)} for {gap.column} {gap.group} (n = {gap.n:,}), "
        f"{percent(gap.others)} for all others"
    )


def _label_errors(result: WrongLabels) -> str:
    test = f", {result.found['test']:,} of them in the test set" if result.found.get("test") else ""
    return f"{len(result.suspects):,} likely errors in {result.n:,} labels{test} ({result.shadows} shadow models)"

"""Summaries of audit sections in a sentence, for the terminal, the card and the report."""

from __future__ import annotations

from tinysight._util.formatting import percent
from tinysight.runs.audit_results import Audit, DuplicateStatistics, LabelIssues, OodDetection, Robustness, SubgroupGap

HEADINGS = (
    "corruption robustness",
    "out-of-distribution",
    "near-duplicates",
    "subgroups",
    "groups",
    "label errors",
    "membership inference",
)


def summarize(audit: Audit | None) -> dict[str, str]:
    """Return a summary of each audit section by heading; sections without results read "not measured"."""
    missing = "not measured"
    if audit is None:
        return dict.fromkeys(HEADINGS, missing)
    no_shadows = f"{missing}: no time for shadow models; give more --minutes"
    sections = (
        _robustness(audit.robustness) if audit.robustness else missing,
        _ood(audit.ood) if audit.ood else missing,
        _near_duplicates(audit.near_duplicates) if audit.near_duplicates else missing,
        _gaps(audit.subgroups) if audit.subgroups is not None else missing,
        _gaps(audit.user_subgroups) if audit.user_subgroups is not None else f"{missing}: give a file with --groups",
        _label_errors(audit.label_issues) if audit.label_issues else no_shadows,
        audit.membership.summary if audit.membership else no_shadows,
    )
    return dict(zip(HEADINGS, sections, strict=True))


def _robustness(result: Robustness) -> str:
    worst = min(result.mean_by_corruption, key=result.mean_by_corruption.__getitem__)
    return (
        f"mean accuracy {percent(result.mean)} corrupted vs {percent(result.clean_accuracy)} clean (n = {result.n:,}); "
        f"worst: {worst}, {percent(result.mean_by_corruption[worst])}"
    )


def _ood(result: OodDetection) -> str:
    aurocs = ", ".join(f"{name} {auroc:.2f}" for name, auroc in result.auroc.items())
    return f"AUROC of detection: {aurocs} (n = {result.n:,} per kind; 0.50 is chance)"


def _near_duplicates(result: DuplicateStatistics) -> str:
    return (
        f"{result.cross_split:,} of {result.n_test:,} test images have a near-duplicate among the training or "
        f"validation images; accuracy {percent(result.accuracy_deduplicated[0])} without them "
        f"(n = {result.n_test - result.cross_split:,}), "
        f"{percent(result.accuracy[0])} with them (n = {result.n_test:,})"
    )


def _gaps(gaps: tuple[SubgroupGap, ...]) -> str:
    significant = [gap for gap in gaps if gap.significant]
    if not significant:
        return f"no significant gap among {len(gaps):,} comparisons"
    widest = max(significant, key=lambda gap: abs(gap.difference))
    return f"{len(significant):,} of {len(gaps):,} gaps are significant; widest: {describe_gap(widest)}"


def describe_gap(gap: SubgroupGap) -> str:
    """Return a gap as a clause, such as "accuracy 80.1% for light dark (n = 312), 91.0% for all others"."""
    names = {
        "accuracy": "accuracy",
        "fnr": f"false-negative rate of {gap.class_name}",
        "fpr": f"false-positive rate of {gap.class_name}",
    }
    return (
        f"{names[gap.metric]} {percent(gap.value)} for {gap.column} {gap.group} (n = {gap.n:,}), "
        f"{percent(gap.complement_value)} for all others"
    )


def _label_errors(result: LabelIssues) -> str:
    test = f", {result.n_by_split['test']:,} of them in the test set" if result.n_by_split.get("test") else ""
    return f"{len(result.issues):,} likely errors in {result.n:,} labels{test} ({result.n_shadow_models} shadow models)"

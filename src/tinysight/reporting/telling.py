"""An audit in a few sentences, for the terminal, the card and the report."""

from __future__ import annotations

from tinysight.runs.findings import Audit, Duplicates, Gap, Robustness, Strangeness, WrongLabels

HEADINGS = ("corrupted images", "strange images", "twins", "slices", "groups", "labels", "privacy")


def told(found: Audit | None) -> dict[str, str]:
    """Return what an audit found, by heading; of what was not measured it says so."""
    silent = "not measured"
    if found is None:
        return dict.fromkeys(HEADINGS, silent)
    leaks = f"{silent}: shadow models take longer than there was; give more --minutes"
    sections = (
        _robustness(found.robustness) if found.robustness else silent,
        _strangers(found.strangers) if found.strangers else silent,
        _duplicates(found.duplicates) if found.duplicates else silent,
        _gaps(found.gaps) if found.gaps is not None else silent,
        _gaps(found.groups) if found.groups is not None else f"{silent}: name a file by --groups",
        _labels(found.labels) if found.labels else leaks,
        found.membership.words if found.membership else leaks,
    )
    return dict(zip(HEADINGS, sections, strict=True))


def _robustness(found: Robustness) -> str:
    worst = min(found.means, key=found.means.__getitem__)
    return (
        f"{found.mean:.1%} are told right, and {found.clean:.1%} of the same {found.n:,} as they are; worst is {worst} "
        f"with {found.means[worst]:.1%}"
    )


def _strangers(found: Strangeness) -> str:
    told = ", ".join(f"{name} {auroc:.2f}" for name, auroc in found.auroc.items())
    return f"told from its own with an AUROC of {told} (1 is always, 0.5 is blind)"


def _duplicates(found: Duplicates) -> str:
    return (
        f"{found.across:,} of {found.test:,} test images have one among the others; without these "
        f"{found.accuracy_without[0]:.2%} are told right, with them {found.accuracy[0]:.2%}"
    )


def _gaps(gaps: tuple[Gap, ...]) -> str:
    alarms = [gap for gap in gaps if gap.alarm]
    if not alarms:
        return f"no gap that is more than chance, of {len(gaps):,} looked at"
    widest = max(alarms, key=lambda gap: abs(gap.gap))
    more = f" and {len(alarms) - 1:,} more" if len(alarms) > 1 else ""
    return f"{in_words(widest)}{more}, of {len(gaps):,} looked at"


def in_words(gap: Gap) -> str:
    """Say what a gap is between, in a clause."""
    whose = f"{gap.column} {gap.group}"
    beside = f"{gap.share:.1%} (all others {gap.others:.1%})"
    match gap.figure:
        case "accuracy":
            return f"of {whose}, told right are {beside}"
        case "missed":
            return f"of {whose}, {gap.class_name} is missed in {beside}"
        case _:
            return f"of {whose}, taken for {gap.class_name} are {beside}"


def _labels(found: WrongLabels) -> str:
    of_test = f", {found.found['test']:,} of them of test images" if found.found.get("test") else ""
    return f"{len(found.suspects):,} of {found.n:,} are likely to be wrong{of_test} (by {found.shadows} shadow models)"

"""What a source did with the images it was given: used, skipped by reason, and suspicious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

MAX_NAMES = 10  # names kept of each finding
SHORT_NAMES = 3  # names in a note
KINDS_NOT_READ = "of kinds that are not read"


@dataclass(frozen=True)
class Finding:
    """Files, images or classes that have something in common.

    Attributes:
        noun: what they are, in the singular: "file".
        reason: what they have in common, as it follows the noun: "of kinds that are not read".
        count: their number.
        names: the first of them.
        kinds: counts by kind, if that says more than names: (".tif 4", ".txt 1").
        is_noted: whether the dataset's notes say this, so that the report's need not.
    """

    noun: str
    reason: str
    count: int
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_noted: bool = False

    def describe(self, max_names: int = MAX_NAMES) -> str:
        """Return one line: "5 files of kinds that are not read: .tif 4, .txt 1."."""
        noun = self.noun if self.count == 1 else f"{self.noun}es" if self.noun.endswith("s") else f"{self.noun}s"
        listed = self.kinds[:max_names] or self.names[:max_names]
        total = len(self.kinds) if self.kinds else self.count
        more = f" and {total - len(listed):,} more" if listed and total > len(listed) else ""
        return f"{self.count:,} {noun} {self.reason}{': ' if listed else ''}{', '.join(listed)}{more}."


@dataclass(frozen=True)
class SourceReport:
    """What a source used, skipped and noticed.

    Attributes:
        used: number of images in the dataset.
        skipped: files that are not used, by reason.
        ignored: hidden files and files of the operating system.
        suspicious: images and classes to check.
        remarks: how the layout was read, in sentences.
    """

    used: int = 0
    skipped: tuple[Finding, ...] = ()
    ignored: tuple[Finding, ...] = ()
    suspicious: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Return the short form: one line for each remark and finding, with up to three names."""
        skipped = (f"Not used: {finding.describe(SHORT_NAMES)}" for finding in self.skipped if not finding.is_noted)
        return (*self.remarks, *skipped, *self.warnings())

    def warnings(self) -> tuple[str, ...]:
        """Return one line for each suspicious finding, with up to three names."""
        return tuple(f"Suspicious: {finding.describe(SHORT_NAMES)}" for finding in self.suspicious)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Return the full form: pairs of a heading and a line, with up to ten names for each finding."""
        by_heading = {"not used": self.skipped, "ignored": self.ignored, "suspicious": self.suspicious}
        return (
            ("used", f"{self.used:,} {'image' if self.used == 1 else 'images'}"),
            *(("layout", remark) for remark in self.remarks),
            *(
                (heading, finding.describe())
                for heading, found in by_heading.items()
                for finding in found
                if not finding.is_noted
            ),
        )

    def with_suspicious(self, findings: Iterable[Finding]) -> SourceReport:
        """Return this report with more suspicious findings."""
        return replace(self, suspicious=(*self.suspicious, *findings))


NO_REPORT = SourceReport()


@dataclass
class ReportBuilder:
    """Collects the findings of a source, in constant memory for each reason."""

    remarks: list[str] = field(default_factory=list)
    suspicious: list[Finding] = field(default_factory=list)
    _counts: dict[tuple[str, str, bool], Counter[str]] = field(default_factory=dict)
    _names: dict[tuple[str, str, bool], list[str]] = field(default_factory=dict)

    def skip(self, noun: str, reason: str, name: str, kind: str = "", is_system: bool = False) -> None:
        """Count one skipped file."""
        key = (noun, reason, is_system)
        self._counts.setdefault(key, Counter())[kind] += 1
        names = self._names.setdefault(key, [])
        if len(names) < MAX_NAMES:
            names.append(one_line(name))

    def build(self, used: int) -> SourceReport:
        """Return the report on a source of `used` images."""
        found = {key: self._finding(*key) for key in self._counts}
        return SourceReport(
            used,
            tuple(finding for key, finding in found.items() if not key[2]),
            tuple(finding for key, finding in found.items() if key[2]),
            tuple(self.suspicious),
            tuple(self.remarks),
        )

    def _finding(self, noun: str, reason: str, is_system: bool) -> Finding:
        counts, names = self._counts[noun, reason, is_system], self._names[noun, reason, is_system]
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kinds = tuple(f"{one_line(kind)} {count:,}" for kind, count in ordered if kind)
        return Finding(noun, reason, counts.total(), tuple(names), kinds)


def file_kind(name: str) -> str:
    """Return the kind of a file by its name: the suffix in lower case, or "without suffix"."""
    return PurePath(name).suffix.lower() or "without suffix"


def one_line(name: str) -> str:
    """Return a name, quoted if it has line breaks or control characters, which could forge lines of a report."""
    return name if name.isprintable() else repr(name)


def truncated(items: Sequence[str], separator: str, limit: int = MAX_NAMES) -> str:
    """Return the first items, and the number of the others."""
    more = [f"and {len(items) - limit} more"] if len(items) > limit else []
    return separator.join([*items[:limit], *more])

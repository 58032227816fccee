"""Write RESULTS.md, the README's table and the recipes' headers from benchmarks/results/*.jsonl. Never by hand.

python benchmarks/report.py
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from common import ROOT, read

from tinysight.recipes import loading, shelf

Row = dict[str, Any]
HEADER = "# measured: "


def main() -> None:
    ours, peers = by_recipe(read("recipes")), by_recipe(read("keras"))
    table = accuracy_table(ours, peers)
    between_marks(ROOT / "README.md", "recipes", table)
    between_marks(ROOT / "benchmarks" / "RESULTS.md", "recipes", f"{table}\n\n{provenance(ours, peers)}")
    for name in ("startup", "loading", "augmentation", "memory", "predict_files"):
        if rows := read(name):
            between_marks(ROOT / "benchmarks" / "RESULTS.md", name, claim_table(rows))
    for recipe, rows in ours.items():
        write_header(shelf.SHELF / f"{recipe}.toml", header(rows))


def by_recipe(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each recipe; of a seed that was measured again only the newest."""
    newest = {(row["recipe"], row["seed"]): row for row in rows}
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in newest.values():
        grouped[row["recipe"]].append(row)
    return {name: grouped[name] for name in shelf.shipped() if name in grouped}


def accuracy_table(ours: dict[str, list[Row]], peers: dict[str, list[Row]]) -> str:
    lines = [
        "| recipe | test accuracy, mean ± sd (n) | with TTA | seconds | Keras on TensorFlow | its seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in ours.items():
        cells = [
            f"`{name}`",
            f"{spread(rows, 'test_accuracy', '.4f')} ({len(rows)})",
            spread(rows, "test_accuracy_tta", ".4f"),
            spread(rows, "train_seconds", ",.0f"),
            *peer_cells(peers.get(name, [])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def peer_cells(rows: list[Row]) -> tuple[str, str]:
    if not rows:
        return "not measured yet", ""
    return f"{spread(rows, 'test_accuracy', '.4f')} ({len(rows)})", spread(rows, "train_seconds", ",.0f")


def spread(rows: list[Row], key: str, form: str) -> str:
    """Return "mean ± sd" of a figure, or the figure alone if it was measured once."""
    values = [row[key] for row in rows]
    mean = format(statistics.mean(values), form)
    return f"{mean} ± {format(statistics.stdev(values), form)}" if len(values) > 1 else mean


def provenance(*groups: dict[str, list[Row]]) -> str:
    """Say on what, with what and when the figures were measured."""
    rows = [row for group in groups for rows in group.values() for row in rows]
    facts = {
        key: sorted({str(row[key]) for row in rows if key in row})
        for key in ("machine", "versions", "date", "peer", "commit")
    }
    return "\n".join(f"- {key}: {'; '.join(values)}" for key, values in facts.items() if values)


def claim_table(rows: list[Row]) -> str:
    """Return the newest figures of one benchmark, each claim with its peer and the ratio."""
    newest = {row["claim"]: row for row in rows}
    lines = ["| claim | ours | peer | ratio | n |", "|---|---|---|---|---|"]
    lines += [f"| {r['claim']} | {r['ours']} | {r['peer']} | {r['ratio']} | {r['n']} |" for r in newest.values()]
    facts = [{key: value for key, value in row.items() if key != "peer"} for row in newest.values()]
    return "\n".join(lines) + f"\n\n{provenance({'': facts})}"


def header(rows: list[Row]) -> str:
    """Return the line of a recipe that says what it cost and what it reached."""
    return (
        f"test accuracy {spread(rows, 'test_accuracy', '.4f')} (n = {len(rows)}; with TTA "
        f"{spread(rows, 'test_accuracy_tta', '.4f')}), {spread(rows, 'train_seconds', ',.0f')} s of training, "
        f"{rows[-1]['precision']}, {rows[-1]['machine'].split(' (')[0]}, {rows[-1]['date']}"
    )


def write_header(path: Path, text: str) -> None:
    recipe = path.read_text(encoding="utf-8")
    changed = re.sub(rf"^{HEADER}.*$", HEADER + text, recipe, flags=re.MULTILINE)
    loading.parse(changed, str(path))
    path.write_text(changed, encoding="utf-8")


def between_marks(path: Path, name: str, text: str) -> None:
    """Replace what stands between <!-- NAME --> and <!-- /NAME -->."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    content = path.read_text(encoding="utf-8")
    if not pattern.search(content):
        raise SystemExit(f"{path} has no place for {name}: <!-- {name} --> ... <!-- /{name} -->")
    path.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", content), encoding="utf-8")


if __name__ == "__main__":
    main()

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
NOT_YET = "not measured yet"
CLAIMS = ("startup", "loading", "augmentation", "memory", "predict_files", "demo")
FACTS = ("machine", "versions", "date", "peer", "commit")
IN_README = ("machine", "images")
REBUILT = "CIFAR-10 rebuilt, not bit for bit the published ones, from which their fingerprint differs"


def main() -> None:
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")


def texts() -> dict[Path, str]:
    """Return what every file with figures in it has to hold, by its path."""
    ours, peers = by_recipe(read("recipes")), by_recipe(read("keras"))
    table = accuracy_table(ours, peers)
    facts = provenance([row for rows in (*ours.values(), *peers.values()) for row in rows])
    in_readme = {key: fact for key, fact in facts.items() if key in IN_README}
    claims = {name: claim_table(read(name)) for name in CLAIMS}
    readme, results = ROOT / "README.md", ROOT / "benchmarks" / "RESULTS.md"
    return {
        readme: page(readme, {"recipes": f"{table}\n\n{listed(in_readme)}"}),
        results: page(results, {"recipes": f"{table}\n\n{listed(facts)}", **claims}),
        **{path: with_header(path, ours[path.stem]) for path in map(shelf.locate, ours)},
    }


def by_recipe(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each shipped recipe, none if it is not measured; of a seed measured again only the newest."""
    newest = {(row["recipe"], row["seed"]): row for row in rows}
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in newest.values():
        grouped[row["recipe"]].append(row)
    return {name: grouped[name] for name in shelf.shipped()}


def accuracy_table(ours: dict[str, list[Row]], peers: dict[str, list[Row]]) -> str:
    lines = [
        "| recipe | test accuracy, mean ± sd (n) | with TTA | seconds | Keras on TensorFlow | its seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in ours.items():
        cells = [f"`{name}`", *our_cells(rows), *peer_cells(peers[name])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def our_cells(rows: list[Row]) -> list[str]:
    if not rows:
        return [NOT_YET] * 3
    accuracy = f"{spread(rows, 'test_accuracy', '.4f')} ({len(rows)})"
    return [accuracy, spread(rows, "test_accuracy_tta", ".4f"), spread(rows, "train_seconds", ",.0f")]


def peer_cells(rows: list[Row]) -> list[str]:
    if not rows:
        return [NOT_YET] * 2
    return [f"{spread(rows, 'test_accuracy', '.4f')} ({len(rows)})", spread(rows, "train_seconds", ",.0f")]


def spread(rows: list[Row], key: str, form: str) -> str:
    """Return "mean ± sd" of a figure, or the figure alone if it was measured once."""
    values = [row[key] for row in rows]
    mean = format(statistics.mean(values), form)
    return f"{mean} ± {format(statistics.stdev(values), form)}" if len(values) > 1 else mean


def provenance(rows: list[Row]) -> dict[str, str]:
    """Return with what, when and on which images `rows` were measured, and what else the machine did."""
    found = {key: sorted({str(row[key]) for row in rows if key in row}) for key in FACTS}
    facts = {key: "; ".join(values) for key, values in found.items() if values}
    if loads := [row["load"] for row in rows]:
        facts["load"] = f"{min(loads)} to {max(loads)}, over the last minute, the measurement itself included"
    if any(row.get("published") is False for row in rows):
        facts["images"] = REBUILT
    return facts


def listed(facts: dict[str, str]) -> str:
    return "\n".join(f"- {key}: {fact}" for key, fact in facts.items())


def claim_table(rows: list[Row]) -> str:
    """Return the newest figures of one benchmark, each claim with its peer and the ratio."""
    if not rows:
        return NOT_YET
    newest = {row["claim"]: row for row in rows}
    lines = ["| claim | ours | peer | ratio | n |", "|---|---|---|---|---|"]
    lines += [f"| {r['claim']} | {r['ours']} | {r['peer']} | {r['ratio']} | {r['n']} |" for r in newest.values()]
    facts = provenance([{key: value for key, value in row.items() if key != "peer"} for row in newest.values()])
    return "\n".join(lines) + f"\n\n{listed(facts)}"


def header(rows: list[Row]) -> str:
    """Return the line of a recipe that says what it cost and what it reached."""
    if not rows:
        return "not yet"
    return (
        f"test accuracy {spread(rows, 'test_accuracy', '.4f')} (n = {len(rows)}; with TTA "
        f"{spread(rows, 'test_accuracy_tta', '.4f')}), {spread(rows, 'train_seconds', ',.0f')} s of training, "
        f"{rows[-1]['precision']}, {rows[-1]['machine'].split(' (')[0]}, {rows[-1]['date']}"
    )


def with_header(path: Path, rows: list[Row]) -> str:
    """Return the recipe at `path` with the header of `rows` in it."""
    old = path.read_text(encoding="utf-8")
    recipe, places = re.subn(rf"^{HEADER}.*$", HEADER + header(rows), old, flags=re.MULTILINE)
    if places != 1:
        raise SystemExit(f"{path} has {places} places for what was measured, and needs one: {HEADER}...")
    loading.parse(recipe, str(path))
    return recipe


def page(path: Path, sections: dict[str, str]) -> str:
    """Return the text at `path` with every section between its marks, <!-- NAME --> and <!-- /NAME -->."""
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        before, opened, rest = text.partition(f"<!-- {name} -->\n")
        _, closed, after = rest.partition(f"<!-- /{name} -->")
        if not (opened and closed):
            raise SystemExit(f"{path} has no place for {name}: <!-- {name} --> ... <!-- /{name} -->")
        text = f"{before}{opened}{content}\n{closed}{after}"
    return text


if __name__ == "__main__":
    main()

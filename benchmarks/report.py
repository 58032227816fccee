"""Write all measured numbers in the documentation from benchmarks/results/*.jsonl.

    python benchmarks/report.py

Updates RESULTS.md, the tables of README.md and docs/explanation/scale.md, and the headers of the recipes.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import projection
from common import ROOT, read

from tinysight.recipes import catalog, loading

Row = dict[str, Any]
HEADER = "# measured: "
NOT_YET = "not measured yet"
CLAIMS = (
    "startup",
    "compare_commits",
    "loading",
    "augmentation",
    "memory",
    "larger_than_memory",
    "race",
    "own_images",
    "small_folders",
    "speed",
    "onnx",
    "predict_files",
    "demo",
    "trust",
    "unsure_promise",
    "conformal",
    "ood_scores",
    "spurious_cues",
    "long_tail",
    "multi_label",
    "keras_import",
    "photos",
    "serving",
    "bulk",
    "tuning",
    "workers",
    "mutation",
    "change_run",
)
LAYOUT_HINT = re.compile(r" Use the layout DIR/CLASS/\*\.jpg, or .*$")
FACTS = ("machine", "versions", "date", "peer", "commit")
IN_README = ("machine", "images")
REBUILT = "a rebuilt CIFAR-10, not bit-identical to the official one (its fingerprint differs)"


def main() -> None:
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")


def texts() -> dict[Path, str]:
    """Return the new content of every generated file, by path."""
    measured, peers = by_recipe(read("recipes")), by_recipe(read("keras"))
    ladder = {name: rows for name, rows in measured.items() if loading.load_recipe(name).model.architecture == "fast"}
    ours = {name: rows for name, rows in measured.items() if name not in ladder}
    tables = {
        "ladder": (ladder_table(ladder), list(chain(*ladder.values()))),
        "recipes": (accuracy_table(ours, peers), list(chain(*ours.values(), *peers.values()))),
        "minutes": (minutes_table(read("minutes")), read("minutes")),
    }
    long = {name: f"{table}\n\n{bullet_list(provenance(rows))}" for name, (table, rows) in tables.items()}
    short = {name: f"{table}\n\n{bullet_list(provenance(rows, IN_README))}" for name, (table, rows) in tables.items()}
    claims = {name: claim_table(read(name)) for name in CLAIMS}
    explanation = ROOT / "docs" / "explanation"
    sections = {
        ROOT / "README.md": {"ladder": short["ladder"]},
        explanation / "recipes.md": {name: short[name] for name in ("minutes", "recipes")},
        explanation / "scale.md": scale_tables(read("scale")),
        ROOT / "benchmarks" / "RESULTS.md": {
            **long,
            "share": share_table(ladder),
            **claims,
            "foreign_layouts": layouts_table(read("foreign_layouts")),
            "few_images": few_images_table(read("few_images")),
        },
    }
    return {
        **{path: page(path, tables) for path, tables in sections.items()},
        **{path: with_header(path, measured[path.stem]) for path in map(catalog.find_recipe, measured)},
    }


def by_recipe(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the newest row of each seed, by built-in recipe; recipes without a fixed network are left out."""
    newest = {(row["recipe"], row["seed"]): row for row in rows}
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in newest.values():
        grouped[row["recipe"]].append(row)
    return {
        name: grouped[name] for name in catalog.list_recipes() if not loading.load_recipe(name).model.needs_time_budget
    }


def accuracy_table(ours: dict[str, list[Row]], peers: dict[str, list[Row]]) -> str:
    """Return the accuracy and the training time of each recipe, beside Keras on TensorFlow."""
    lines = [
        "| recipe | test accuracy, mean ± SD (n) | with TTA | training time, s | Keras accuracy (n) | Keras time, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in ours.items():
        cells = [f"`{name}`", *our_cells(rows), *peer_cells(peers[name])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ladder_table(ours: dict[str, list[Row]]) -> str:
    """Return the accuracy of each fast recipe, with mean and maximum training time."""
    lines = [
        "| recipe | test accuracy, mean ± SD (n) | with TTA | training time, s | maximum, s |",
        "|---|---|---|---|---|",
    ]
    for name, rows in ours.items():
        slowest = f"{max(row['train_seconds'] for row in rows):,.1f}" if rows else NOT_YET
        seconds = spread(rows, "train_seconds", ",.1f") if rows else NOT_YET
        lines.append(f"| {' | '.join([f'`{name}`', *our_cells(rows)[:2], seconds, slowest])} |")
    return "\n".join(lines)


def minutes_table(rows: list[Row]) -> str:
    """Return total time, forecast and accuracy for each time budget."""
    if not rows:
        return NOT_YET
    newest = {(row["minutes"], row["seed"]): row for row in rows}
    lines = [
        "| minutes | n | total time, s | forecast accuracy | test accuracy | with TTA | network |",
        "|---|---|---|---|---|---|---|",
    ]
    for minutes in sorted({row["minutes"] for row in rows}):
        own = [row for row in newest.values() if row["minutes"] == minutes]
        forecast = "; ".join(f"{row['foretold']:.3f} ± {row['spread']:.3f}" for row in own)
        accuracy, accuracy_tta = (
            "; ".join(f"{row[key]:.4f}" for row in own) for key in ("test_accuracy", "test_accuracy_tta")
        )
        seconds, networks = "; ".join(f"{row['seconds']:.1f}" for row in own), sorted({row["network"] for row in own})
        cells = [f"{minutes:g}", str(len(own)), seconds, forecast, accuracy, accuracy_tta, "; ".join(networks)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def share_table(ours: dict[str, list[Row]]) -> str:
    """Return the utilization of the processor in training, and the predictions that bfloat16 changes."""
    lines = [
        "| recipe | n | machine, GFLOP/s | training, GFLOP/s | utilization | predictions changed by bf16 |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in ours.items():
        own = [row for row in rows if "share" in row]
        if own:
            rates = [spread(own, key, ".0f") for key in ("machine_gflops", "training_gflops")]
            changed = f"{max(row['answers_changed_by_bf16'] for row in own):.2%} (maximum)"
            cells = [f"`{name}`", str(len(own)), *rates, spread(own, "share", ".3f"), changed]
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
    """Return "mean ± SD" of a column, or its only value."""
    values = [row[key] for row in rows]
    mean = format(statistics.mean(values), form)
    return f"{mean} ± {format(statistics.stdev(values), form)}" if len(values) > 1 else mean


def provenance(rows: list[Row], keys: Sequence[str] = (*FACTS, "load", "images")) -> dict[str, str]:
    """Return machine, versions, dates, commits, load and images of `rows`: the facts named in `keys`."""
    values_by_key = {key: sorted({str(row[key]) for row in rows if key in row}) for key in FACTS}
    facts = {key: "; ".join(values) for key, values in values_by_key.items() if values}
    if loads := [row["load"] for row in rows]:
        facts["load"] = f"{min(loads)} to {max(loads)} (one-minute average, including the benchmark)"
    if any(row.get("published") is False for row in rows):
        facts["images"] = REBUILT
    return {key: fact for key, fact in facts.items() if key in keys}


def bullet_list(facts: dict[str, str]) -> str:
    return "\n".join(f"- {key}: {fact}" for key, fact in facts.items())


def claim_table(rows: list[Row]) -> str:
    """Return the newest row of each claim of a benchmark."""
    if not rows:
        return NOT_YET
    newest = {row["claim"]: row for row in rows}
    lines = ["| claim | tinysight | peer or target | ratio | n |", "|---|---|---|---|---|"]
    lines += [f"| {r['claim']} | {r['ours']} | {r['peer']} | {r['ratio']} | {r['n']} |" for r in newest.values()]
    facts = provenance([{key: value for key, value in row.items() if key != "peer"} for row in newest.values()])
    return "\n".join(lines) + f"\n\n{bullet_list(facts)}"


def layouts_table(rows: list[Row]) -> str:
    """Return what was done with each foreign layout, and whether that was expected."""
    if not rows:
        return NOT_YET
    newest = {row["layout"]: row for row in rows}.values()
    first = [row for row in rows if row["commit"] == rows[0]["commit"]]
    before, after = (f"{sum(not row['wrong'] for row in run)} of {len(run)}" for run in (first, newest))
    lines = [
        f"{after} outcomes are as expected; in the first run, {before} were.",
        "",
        "| layout | what it stands for | what tinysight does | as expected |",
        "|---|---|---|---|",
    ]
    for row in newest:
        done = LAYOUT_HINT.sub("", row["done"]).replace("|", "\\|").replace("<", "&lt;")
        judgement = "; ".join(row["wrong"]).replace("|", "\\|") or "yes"
        lines.append(f"| {row['layout']} | {row['stands_for']} | {done} | {judgement} |")
    return "\n".join(lines) + f"\n\n{bullet_list(provenance(list(newest)))}"


def few_images_table(rows: list[Row]) -> str:
    """Return the accuracy of each method on each dataset, newest rows only, and the seconds that it took."""
    if not rows:
        return NOT_YET
    newest = {(row["data"], row["method"]): row for row in rows}
    lines = [
        "| data | method | minutes | test accuracy | sd | seconds, with the test | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for (data, method), row in sorted(
        newest.items(), key=lambda item: (item[0][0], -float(item[1]["accuracy"].split()[0]))
    ):
        cells = [data, method, f"{row['minutes']:g}", row["accuracy"], row["sd"], row["seconds"], row["n"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + f"\n\n{bullet_list(provenance(list(newest.values())))}"


def scale_tables(rows: list[Row]) -> dict[str, str]:
    """Return the tables of docs/explanation/scale.md: measurements and projections."""
    newest = {row["part"]: row for row in rows}
    makers = {
        "parts": projection.parts_table,
        "bulk": projection.bulk_table,
        "training": projection.training_table,
        "law": projection.law_table,
    }
    if not rows:
        return dict.fromkeys(makers, NOT_YET)
    tables = {name: make(newest) for name, make in makers.items()}
    return tables | {"parts": f"{tables['parts']}\n\n{bullet_list(provenance(rows))}"}


def header(rows: list[Row]) -> str:
    """Return the header of a recipe: accuracy, training time, machine and date."""
    if not rows:
        return NOT_YET
    return (
        f"test accuracy {spread(rows, 'test_accuracy', '.4f')} (n = {len(rows)}; with TTA "
        f"{spread(rows, 'test_accuracy_tta', '.4f')}), {spread(rows, 'train_seconds', ',.0f')} s of training, "
        f"{rows[-1]['precision']}, {rows[-1]['machine'].split(' (')[0]}, {rows[-1]['date']}"
    )


def with_header(path: Path, rows: list[Row]) -> str:
    """Return the recipe at `path` with an updated header."""
    old = path.read_text(encoding="utf-8")
    recipe, count = re.subn(rf"^{HEADER}.*$", HEADER + header(rows), old, flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"{path}: {count} lines start with {HEADER!r}. Keep exactly one.")
    loading.parse_recipe(recipe, str(path))
    return recipe


def page(path: Path, sections: dict[str, str]) -> str:
    """Return the text at `path`, with each section replaced between <!-- NAME --> and <!-- /NAME -->."""
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not (start and end):
            raise SystemExit(f"{path}: the markers of {name} are missing. Add <!-- {name} --> and <!-- /{name} -->.")
        text = f"{before}{start}{content}\n{end}{after}"
    return text


if __name__ == "__main__":
    main()

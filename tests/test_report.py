"""The README, RESULTS.md and the recipes tell what the benchmarks measured, and what is not measured yet."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tinysight.recipes import catalog, loading

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MEASURED = [name for name in catalog.list_recipes() if name != "fast"]  # whose network and length follow from --minutes


@pytest.fixture
def report(monkeypatch):
    """benchmarks/report.py as a module."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    spec = importlib.util.spec_from_file_location("report", BENCHMARKS / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(**differing):
    """A line of benchmarks/results."""
    measured = {
        "recipe": "deep",
        "seed": 0,
        "test_accuracy": 0.7,
        "test_accuracy_tta": 0.72,
        "train_seconds": 100.0,
        "precision": "bf16",
        "published": True,
        "machine": "a processor, 2 cores (avx2)",
        "date": "2026-01-02",
        "load": 2.0,
    }
    return measured | differing


def test_every_page_holds_what_the_report_would_write(report):
    texts = report.texts()
    assert {path.name for path in texts} == {
        "README.md",
        "RESULTS.md",
        "scale.md",
        "recipes.md",
        *(f"{name}.toml" for name in MEASURED),
    }
    stale = [path.name for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run benchmarks/report.py"


def test_a_measured_recipe_has_mean_and_deviation_of_its_seeds_beside_the_peer(report):
    ours = report.by_recipe([row(), row(seed=1, test_accuracy=0.72, test_accuracy_tta=0.74, train_seconds=104.0)])
    table = report.accuracy_table(ours, report.by_recipe([row(test_accuracy=0.69, train_seconds=300.0)]))
    expected = "| `deep` | 0.7100 ± 0.0141 (2) | 0.7300 ± 0.0141 | 102 ± 3 | 0.6900 (1) | 300 |"
    assert expected in table.splitlines()


def test_a_recipe_that_is_not_measured_is_listed_all_the_same(report):
    nothing = report.by_recipe([])
    lines = report.accuracy_table(nothing, nothing).splitlines()[2:]
    assert lines == [f"| `{name}` |{' not measured yet |' * 5}" for name in MEASURED]
    assert report.header([]) == "not measured yet"


def test_of_a_seed_measured_again_only_the_newest_counts(report):
    assert report.by_recipe([row(test_accuracy=0.1), row(), row(seed=1)])["deep"] == [row(), row(seed=1)]


def test_a_recipes_header_says_what_it_cost_and_reached_and_where(report):
    reached = "test accuracy 0.7000 (n = 1; with TTA 0.7200), 100 s of training"
    assert report.header([row()]) == f"{reached}, bf16, a processor, 2 cores, 2026-01-02"


def test_images_that_are_not_the_published_ones_are_named(report):
    assert "images" not in report.provenance([row(), row(seed=1)])
    assert "not bit-identical to the official one" in report.provenance([row(), row(published=False)])["images"]


def test_the_load_of_the_machine_is_told_from_the_least_to_the_most(report):
    assert report.provenance([row(), row(load=0.5), row(load=1.0)])["load"].startswith("0.5 to 2.0 (")


def test_a_claim_is_told_by_its_newest_figure_and_one_without_figures_by_its_absence(report):
    claim = {"claim": "fast", "ours": "1 s", "peer": "", "ratio": "", "n": 3, "load": 1.0}
    table = report.claim_table([claim | {"ours": "9 s"}, claim])
    assert "| fast | 1 s |  |  | 3 |" in table.splitlines()
    assert "9 s" not in table
    assert report.claim_table([]) == "not measured yet"


def test_a_page_without_the_marks_of_a_section_is_not_written(report, tmp_path):
    text = "before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n"
    (tmp_path / "page.md").write_text(text)
    assert report.page(tmp_path / "page.md", {"speed": "new"}) == text.replace("old", "new")
    with pytest.raises(SystemExit, match=r"page\.md: the markers of memory are missing"):
        report.page(tmp_path / "page.md", {"memory": "new"})


def test_a_recipe_without_a_place_for_its_header_is_not_written(report, tmp_path):
    (tmp_path / "mine.toml").write_text("name = 'mine'\n")
    with pytest.raises(SystemExit, match=r"mine\.toml: 0 lines start with"):
        report.with_header(tmp_path / "mine.toml", [])


def test_the_share_of_the_machine_is_told_of_the_trainings_that_have_one(report):
    figures = {"machine_gflops": 400.0, "training_gflops": 300.0, "share": 0.75, "answers_changed_by_bf16": 0.0003}
    table = report.share_table({"fast-94": [row(**figures), row(seed=1, **figures), row(seed=2)], "fast-73": [row()]})
    assert table.splitlines()[2:] == ["| `fast-94` | 2 | 400 ± 0 | 300 ± 0 | 0.750 ± 0.000 | 0.03% (maximum) |"]


def test_work_over_time_is_a_share_of_the_machine(report):
    import utilization as share

    recipe = loading.load_recipe("fast-73")
    stem, places = 32, 15 * 15
    convolutions = [(stem, 32, places), (32, 32, 7 * 7), (32, 64, 7 * 7), (64, 64, 9), (64, 64, 9), (64, 64, 1)]
    ways = [2, 3, 3, 3, 3, 3]  # nothing before the first convolution is trained
    work = sum(2 * way * 9 * a * b * at for way, (a, b, at) in zip(ways, convolutions, strict=True)) + 2 * 3 * 64 * 10
    assert share.share(recipe, seen=1000, seconds=2.0, machine=work * 1000)["share"] == 0.5

"""Mutation test: how many random one-token faults in the measuring code the quick tests detect.

    python benchmarks/mutation.py --mutants 300 --seed 0

A mutant changes one comparison, operator, constant, condition or return value in evaluation/, auditing/, runs/ or
data/image_io/. It is killed if a quick test fails that executes the changed line. Coverage contexts select these tests,
and each mutant runs in a forked process with the libraries already imported, so that a mutant costs seconds. Survivors
are printed; each is either an equivalent program or a missing test. Decorators and `strict=` are not changed: what they
guard against, such as assigning to a frozen object, happens in no correct program, so the mutant would be equivalent.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from common import ROOT, append, stamp
from coverage.numbits import numbits_to_nums

PACKAGES = ("evaluation", "auditing", "runs", "data/image_io")
TESTS = (
    *("tests/evaluation", "tests/auditing", "tests/runs", "tests/data", "tests/attacks"),
    *("tests/cli", "tests/cases", "tests/reporting", "tests/training"),
)
TIMEOUT = 300  # seconds; a mutant that runs longer counts as killed
MAX_SECONDS = 30  # of tests for one mutant, by the time that they took with coverage

_SWAPS: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One fault: the file, its line, what was changed, and the whole mutated source."""

    path: Path
    line: int
    change: str
    source: str

    def __str__(self) -> str:
        return f"survived: {self.path.relative_to(ROOT)}:{self.line}: {self.change}"


def main() -> None:
    """Draw the mutants, run them, print the survivors and append a row to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tests = covering_tests(Path(folder) / "coverage")
        candidates = [mutant for path in sources() for mutant in mutants_of(path) if tests[mutant.path, mutant.line]]
        drawn = random.Random(arguments.seed).sample(candidates, min(arguments.mutants, len(candidates)))
        copies = [Path(folder) / f"src{number}" for number in range(os.cpu_count() or 1)]
        trees = [Path(shutil.copytree(ROOT / "src", copy)) for copy in copies]
        # The first is the code as it is, which must survive. Otherwise the processes fail for another reason.
        unchanged = Mutant(drawn[0].path, drawn[0].line, "none", drawn[0].path.read_text(encoding="utf-8"))
        run = [unchanged, *drawn]
        killed = run_all(run, [tests[mutant.path, mutant.line] for mutant in run], trees)
        if killed.pop(0):
            raise SystemExit("The unchanged code fails in a forked process. Run its tests there to see why.")
    survivors = [mutant for mutant, dead in zip(drawn, killed, strict=True) if not dead]
    for mutant in survivors:
        print(mutant)
    score = 1 - len(survivors) / len(drawn)
    print(f"{len(drawn) - len(survivors)} of {len(drawn)} mutants killed ({score:.1%}), of {len(candidates)} possible")
    names = [
        f"{mutant.path.relative_to(ROOT / 'src/tinysight')}:{mutant.line}: {mutant.change}" for mutant in survivors
    ]
    row = {
        "claim": f"random mutants of {', '.join(PACKAGES)} that are killed, seed {arguments.seed}",
        "ours": f"{score:.1%}",
        "peer": "target: 85%",
        "ratio": f"{score / 0.85:.2f}",
        "n": len(drawn),
        "survivors": names,
    }
    append("mutation", row | stamp())


def sources() -> Iterator[Path]:
    """Yield the files that are mutated."""
    for package in PACKAGES:
        yield from sorted((ROOT / "src" / "tinysight" / package).rglob("*.py"))


def covering_tests(data: Path) -> defaultdict[tuple[Path, int], list[str]]:
    """Return the quick tests that execute each line, by file and line; module level: all tests that use the file."""
    durations = data.with_suffix(".xml")
    options = ("--cov", "--cov-context=test", "--cov-report=", "-q", "-p", "no:cacheprovider", "-n", "logical")
    environment = os.environ | {"COVERAGE_FILE": str(data), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pytest", *options, f"--junitxml={durations}", *TESTS]
    completed = subprocess.run(command, cwd=ROOT, env=environment)
    if completed.returncode != 0:
        raise SystemExit("The tests fail without any mutant. Fix them first.")
    found: defaultdict[tuple[Path, int], list[str]] = defaultdict(list)
    of_file: defaultdict[Path, set[str]] = defaultdict(set)
    with sqlite3.connect(data) as database:
        rows = database.execute(
            "select file.path, context.context, numbits from line_bits "
            "join file on file.id = file_id join context on context.id = context_id"
        ).fetchall()
        if not rows:  # branch coverage stores pairs of lines instead
            arcs = database.execute(
                "select file.path, context.context, tono from arc "
                "join file on file.id = file_id join context on context.id = context_id"
            )
            lines = [(path, context, [line]) for path, context, line in arcs]
        else:
            lines = [(path, context, numbits_to_nums(bits)) for path, context, bits in rows]
    for name, context, numbers in lines:
        if test := context.partition("|")[0]:
            of_file[Path(name)].add(test)
            for number in numbers:
                found[Path(name), number].append(test)
    seconds = durations_of(durations)
    listing = [sys.executable, "-m", "pytest", "--collect-only", "-q", *TESTS]
    collected = subprocess.run(listing, cwd=ROOT, env=environment, capture_output=True, text=True).stdout.splitlines()
    for path in sources():
        source = path.read_text(encoding="utf-8")
        in_functions = lines_in_functions(source)
        files = {test.partition("::")[0] for test in of_file[path]}  # their other tests may read constants only
        of_module = {test for test in collected if test.partition("::")[0] in files}
        for number in range(1, len(source.splitlines()) + 1):
            tests = set(found[path, number]) if number in in_functions else of_module
            nearest = sorted(tests, key=lambda test: (*_distance(test, path), seconds[test]))
            total = itertools.accumulate(seconds[test] for test in nearest)
            chosen = [test for test, spent in zip(nearest, total, strict=True) if spent <= MAX_SECONDS] or nearest[:1]
            found[path, number] = sorted(chosen, key=lambda test: seconds[test])  # the first failure ends the run
    return found


def lines_in_functions(source: str) -> set[int]:
    """Return the numbers of the lines in bodies of functions. All others run once, at import."""
    return {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        for number in range(node.body[0].lineno, (node.end_lineno or 0) + 1)
    }


def durations_of(junit: Path) -> defaultdict[str, float]:
    """Return the seconds of each test by its ID, from a file in JUnit's format; 0 for tests that it lacks."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        file = case.attrib["classname"].replace(".", "/")
        seconds[f"{file}.py::{case.attrib['name']}"] = float(case.attrib["time"])
    return seconds


def _distance(test: str, path: Path) -> tuple[bool, bool]:
    """Return a sort key that puts the tests of a file first, then those of its package."""
    return path.stem not in test, f"tests/{path.parent.name}/" not in test


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = set(guards_of(tree))
    for number, node in enumerate(ast.walk(tree)):
        if node in guards:
            continue
        for mutated, change in mutations(node):
            other = copy.deepcopy(tree)
            target = list(ast.walk(other))[number]
            for field, value in ast.iter_fields(mutated):
                setattr(target, field, value)
            yield Mutant(path, mutated.lineno, change, ast.unparse(ast.fix_missing_locations(other)))


def guards_of(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of decorators and of arguments named strict."""
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", ()):
            yield from ast.walk(decorator)
        if isinstance(node, ast.keyword) and node.arg == "strict":
            yield from ast.walk(node)


def mutations(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield changed copies of a node, each with a description."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=[operator, *rest]) if type(operator) in _SWAPS:
            changed.ops = [_SWAPS[type(operator)](), *rest]
            yield changed, f"{ast.unparse(node)} -> {ast.unparse(changed)}"
        case ast.BinOp(op=operator) | ast.BoolOp(op=operator) if type(operator) in _SWAPS:
            if isinstance(node, ast.BinOp) and _is_type_union(node):
                return
            changed.op = _SWAPS[type(operator)]()
            yield changed, f"{ast.unparse(node)} -> {ast.unparse(changed)}"
        case ast.Constant(value=bool(value)):
            changed.value = not value
            yield changed, f"{value} -> {not value}"
        case ast.Constant(value=int(value) | float(value)):
            changed.value = value + 1
            yield changed, f"{value} -> {value + 1}"
        case ast.UnaryOp(op=ast.USub()):
            changed.op = ast.UAdd()
            yield changed, f"{ast.unparse(node)} -> {ast.unparse(changed)}"
        case ast.If(test=test) | ast.IfExp(test=test):
            changed.test = ast.UnaryOp(ast.Not(), test)
            yield changed, f"if {ast.unparse(test)} -> if not"
        case ast.Return(value=value) if value is not None and not _is_none(value):
            changed.value = ast.Constant(None)
            yield changed, f"return {ast.unparse(value)} -> return None"


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_type_union(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr)


def run_all(mutants: list[Mutant], tests: list[list[str]], trees: list[Path]) -> list[bool]:
    """Return for each mutant whether a test fails. As many run at a time as there are copies of src."""
    import_libraries()
    killed = [True] * len(mutants)  # also if it runs too long
    running: dict[int, tuple[int, Path, float]] = {}  # process: mutant, tree, start
    waiting, free = list(range(len(mutants))), list(trees)
    while waiting or running:
        while waiting and free:
            number, tree = waiting.pop(0), free.pop()
            running[start(mutants[number], tests[number], tree)] = number, tree, time.monotonic()
        time.sleep(0.1)
        for process, (number, tree, began) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended and time.monotonic() - began > TIMEOUT:
                os.killpg(process, signal.SIGKILL)
                ended, status = os.waitpid(process, 0)
            if ended:
                killed[number] = status != 0
                restore(mutants[number], tree)
                del running[process]
                free.append(tree)
                done = len(mutants) - len(waiting) - len(running)
                print(f"{done} of {len(mutants)}: {'killed' if killed[number] else mutants[number]}", flush=True)
    return killed


def import_libraries() -> None:
    """Import what every test process needs, except tinysight, so that a forked process starts at once."""
    for name in ("hypothesis", "matplotlib.figure", "numpy", "PIL.Image", "pydantic", "pytest", "scipy.stats"):
        importlib.import_module(name)
    for name in ("sklearn.metrics", "torch", "typer"):
        importlib.import_module(name)


def start(mutant: Mutant, tests: list[str], tree: Path) -> int:
    """Write the mutant into a copy of src, and fork a process that runs its tests there; return the process."""
    (tree / mutant.path.relative_to(ROOT / "src")).write_text(mutant.source, encoding="utf-8")
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    output = os.open(os.devnull, os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(ROOT)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tinysight"]:
        del sys.modules[name]
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--timeout=120"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the plugins that are imported already
    code = 1
    try:
        code = int(pytest.main([*options, *tests]))
    finally:
        os._exit(code)


def restore(mutant: Mutant, tree: Path) -> None:
    """Undo the mutant in a copy of src."""
    shutil.copyfile(mutant.path, tree / mutant.path.relative_to(ROOT / "src"))


if __name__ == "__main__":
    main()

"""Architecture: import floors, light start-up, documented public names."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import tinysight

PACKAGE = Path(tinysight.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# The floors of the design, top-down. A file imports from lower floors, and from packages of its own floor.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"tinysight"},  # __init__.py: the public names
    {"api"},
    {"estimator", "doctor"},
    {"serving", "bulk", "tuning", "interop", "auditing", "explanation"},
    {"reporting"},
    {"evaluation"},
    {"training"},
    {"runs"},
    {"models"},
    {"augmentation", "recipes", "data"},
    {"_util"},
)
LEVEL = {name: len(FLOORS) - number for number, floor in enumerate(FLOORS) for name in floor}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path):
    """Return the dotted name of the module in a file."""
    parts = ("tinysight", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in MODULES}


def component(name):
    """Return the top-level package or module of `tinysight` that contains a module."""
    return name.split(".")[1] if "." in name else name


def imports(path):
    """Return the modules of `tinysight` that a file imports, at its top, inside functions or for types."""
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; use an absolute import"
            names += [f"{node.module}.{name.name}" for name in node.names]
    ours = {module_of(name) for name in names if name.split(".")[0] == "tinysight"}
    return ours - {module_name(path)}


def module_of(name):
    """Return the module that defines a dotted name, which may be a name in a module."""
    while name not in FILES:
        name = name.rpartition(".")[0]
    return name


def public_definitions(body):
    """Yield the public functions, classes and methods of a module or class body."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body)


def violations(check):
    """Return the results of `check` by module, without the modules that have none."""
    results = {str(path.relative_to(PACKAGE)): list(check(path)) for path in MODULES}
    return {path: result for path, result in results.items() if result}


def test_every_package_has_a_floor():
    assert {component(name) for name in FILES} == set(LEVEL)


def test_imports_only_go_down():
    def upward(path):
        level = LEVEL[component(module_name(path))]
        return sorted(name for name in imports(path) if LEVEL[component(name)] > level)

    assert violations(upward) == {}


def test_there_are_no_import_cycles_between_files():
    TopologicalSorter({name: imports(path) for name, path in FILES.items()}).prepare()  # raises CycleError


def test_only_the_console_prints():
    def prints(path):
        calls = (node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
        return (call.lineno for call in calls if isinstance(call, ast.Name) and call.id == "print")

    assert violations(prints) == {}


def test_src_has_no_assert_statements():
    def asserts(path):
        return (node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert))

    assert violations(asserts) == {}


def test_public_names_have_docstrings():
    def undocumented(path):
        return (node.name for node in public_definitions(tree(path).body) if not ast.get_docstring(node))

    assert violations(undocumented) == {}
    assert [path for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_the_command_line_starts_without_heavy_imports():
    heavy = ("torch", "numpy", "matplotlib", "sklearn", "pydantic", "PIL", "safetensors")
    script = f"import sys, tinysight.cli; print(*sorted(set({heavy}) & set(sys.modules)))"
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert completed.stdout.split() == []


def test_a_wrong_recipe_is_reported_without_heavy_imports():
    heavy = ("torch", "numpy", "matplotlib", "sklearn", "PIL", "safetensors")
    script = (
        "import sys, atexit; from tinysight.cli import main; sys.argv = ['tinysight', 'train', 'depe']\n"
        f"atexit.register(lambda: print(*sorted(set({heavy}) & set(sys.modules))))\nmain()"
    )
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Did you mean 'deep'?" in completed.stderr
    assert (completed.returncode, completed.stdout.split()) == (2, [])

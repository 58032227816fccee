"""The house stays a house: imports go one way, start-up is light, and the code is fit to be read."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import tinysight

HOUSE = Path(tinysight.__file__).parent
MODULES = sorted(HOUSE.rglob("*.py"))

# From the top down: a module imports from its own layer or from below.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"tinysight"},  # __init__.py: the public names
    {
        "bulk",
        "serving",
        "estimator",
        "reporting",
        "audit",
        "explanation",
        "evaluation",
        "training",
        "tuning",
        "interop",
        "doctor",
    },
    {"runs"},
    {"models", "augmentation", "recipes", "data"},
    {"errors", "files", "formatting", "memory", "progress", "machine", "packages", "cluster", "ranges", "screen"},
)
HEIGHT = {name: len(LAYERS) - number for number, layer in enumerate(LAYERS) for name in layer}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path):
    """Return the package or module directly below `tinysight` that a file belongs to."""
    first = path.relative_to(HOUSE).parts[0].removesuffix(".py")
    return "tinysight" if first == "__init__" else first


def imported_rooms(path):
    """Return the rooms that a file imports from, at its top or inside a function."""
    found = set()
    for node in ast.walk(tree(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the name in full"
            names = [f"{node.module}.{name.name}" for name in node.names]
        found |= {name.split(".")[1] for name in names if name.split(".")[0] == "tinysight" and "." in name}
    return found


def public_definitions(body):
    """Yield the public functions and classes of a module or class body, and those in public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body)


def lines_of_code(function):
    """Return the length of a function without head and docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return function.end_lineno - first.lineno + 1


def found_in_modules(look):
    """Return what `look` finds in each module in which it finds anything."""
    found = {str(path.relative_to(HOUSE)): list(look(path)) for path in MODULES}
    return {path: offences for path, offences in found.items() if offences}


def test_every_module_has_its_place_in_the_house():
    assert {room(path) for path in MODULES} <= set(HEIGHT)


def test_imports_go_down_and_never_up():
    def upward(path):
        return (name for name in imported_rooms(path) if HEIGHT.get(name, 0) > HEIGHT[room(path)])

    assert found_in_modules(upward) == {}


def test_no_rooms_import_from_each_other_in_a_circle():
    leads_to = {name: set() for name in HEIGHT}
    for path in MODULES:
        leads_to[room(path)] |= imported_rooms(path) & set(HEIGHT) - {room(path)}
    while leads_to:
        ends = {name for name, others in leads_to.items() if not others & set(leads_to)}
        assert ends, f"a circle among {sorted(leads_to)}"
        leads_to = {name: others for name, others in leads_to.items() if name not in ends}


def test_nothing_prints_but_by_the_console():
    def prints(path):
        calls = (node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
        return (call.lineno for call in calls if isinstance(call, ast.Name) and call.id == "print")

    assert found_in_modules(prints) == {}


def test_no_assert_guards_against_users():
    def asserts(path):
        return (node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert))

    assert found_in_modules(asserts) == {}


def test_what_is_public_is_documented():
    def undocumented(path):
        return (node.name for node in public_definitions(tree(path).body) if not ast.get_docstring(node))

    assert found_in_modules(undocumented) == {}
    assert [path for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_functions_are_short():
    def too_long(path):
        every = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))
        return (node.name for node in every if lines_of_code(node) > 40)

    assert found_in_modules(too_long) == {}


def test_files_are_short():
    assert [path for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []


def test_the_command_line_starts_without_anything_heavy():
    heavy = ("torch", "numpy", "matplotlib", "sklearn", "pydantic", "PIL", "safetensors")
    script = f"import sys, tinysight.cli; print(*sorted(set({heavy}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_a_wrong_recipe_is_answered_without_anything_heavy():
    heavy = ("torch", "numpy", "matplotlib", "sklearn", "PIL", "safetensors")
    script = (
        "import sys, atexit; from tinysight.cli import main; sys.argv = ['tinysight', 'train', 'depe']\n"
        f"atexit.register(lambda: print(*sorted(set({heavy}) & set(sys.modules))))\nmain()"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Did you mean 'deep'?" in answer.stderr
    assert (answer.returncode, answer.stdout.split()) == (2, [])

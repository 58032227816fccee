"""Architecture: import layers, light start-up, documented public names."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import tinysight

PACKAGE = Path(tinysight.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Top-down: a module imports from its own layer or from a lower one.
LAYERS = (
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
LEVEL = {name: len(LAYERS) - number for number, layer in enumerate(LAYERS) for name in layer}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def component(path):
    """Return the top-level package or module of `tinysight` that contains a file."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "tinysight" if first == "__init__" else first


def imported_components(path):
    """Return the components that a file imports, at its top or inside functions."""
    components = set()
    for node in ast.walk(tree(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; use an absolute import"
            names = [f"{node.module}.{name.name}" for name in node.names]
        components |= {name.split(".")[1] for name in names if name.split(".")[0] == "tinysight" and "." in name}
    return components


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


def test_every_module_has_a_layer():
    assert {component(path) for path in MODULES} <= set(LEVEL)


def test_imports_only_go_down():
    def upward(path):
        return (name for name in imported_components(path) if LEVEL.get(name, 0) > LEVEL[component(path)])

    assert violations(upward) == {}


def test_there_are_no_import_cycles():
    imports = {name: set() for name in LEVEL}
    for path in MODULES:
        imports[component(path)] |= imported_components(path) & set(LEVEL) - {component(path)}
    while imports:
        leaves = {name for name, targets in imports.items() if not targets & set(imports)}
        assert leaves, f"import cycle among {sorted(imports)}"
        imports = {name: targets for name, targets in imports.items() if name not in leaves}


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

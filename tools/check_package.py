"""Build the sdist and the wheel, install the wheel in an empty environment, and run it.

python tools/check_package.py [DIR]

DIR receives the distributions (default: dist). Run it from the project's environment, which has `build` and
`hatchling`. The exit code is 0 if everything passed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
CONSTRAINTS = ROOT / "constraints.txt"
IN_SDIST = ("LICENSE", "README.md", "pyproject.toml", "constraints.txt", "src/tinysight/py.typed")


def main() -> None:
    """Build, check and install the distributions."""
    start = time.perf_counter()
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    with tempfile.TemporaryDirectory() as temporary:
        built = build(Path(temporary) / "built")
        check_sdist(next(path for path in built if path.name.endswith(".tar.gz")))
        wheel = next(path for path in built if path.suffix == ".whl")
        check_wheel(wheel)
        check_installed(wheel, Path(temporary))
        directory.mkdir(parents=True, exist_ok=True)
        for path in built:
            (directory / path.name).write_bytes(path.read_bytes())
            print(f"file: {directory / path.name}")
    print(f"package: ok, {time.perf_counter() - start:.0f} s")


def build(directory: Path) -> list[Path]:
    """Build both distributions into `directory`: the wheel from the sdist, without network."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT), quiet=True)
    return sorted(directory.iterdir())


def check_sdist(path: Path) -> None:
    """Check that the sdist holds what a build needs."""
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    check(not set(IN_SDIST) - names, f"{path.name}: {', '.join(sorted(set(IN_SDIST) - names))} missing")


def check_wheel(path: Path) -> None:
    """Check that the wheel holds every file of src, nothing else, and complete metadata."""
    paths = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    expected = {path.relative_to(SOURCE).as_posix() for path in paths}
    with zipfile.ZipFile(path) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        [metadata_name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(metadata_name).decode())
    check(files == expected, f"{path.name}: differs from src in {sorted(files ^ expected)[:5]}")
    for key in ("License-Expression", "License-File", "Requires-Python", "Keywords", "Classifier"):
        check(key in metadata, f"{path.name}: {key} missing from the metadata")


def check_installed(wheel: Path, temporary: Path) -> None:
    """Install the wheel with the tested versions into an empty environment, and run two commands."""
    environment = temporary / "environment"
    venv.create(environment, with_pip=False)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", str(environment))
    run(*pip, "install", "--quiet", "--no-compile", "--constraint", str(CONSTRAINTS), str(wheel), quiet=True)
    run(*pip, "check")
    command = str(scripts / "tinysight")
    check("Usage" in run(command, "--help", cwd=temporary, quiet=True), "tinysight --help: no usage")
    run(command, "doctor", cwd=temporary)


def run(*command: str, cwd: Path = ROOT, quiet: bool = False) -> str:
    """Run a command and return its standard output. Exit with its messages if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode or not quiet:
        print(done.stdout, end="")
    check(not done.returncode, f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def check(condition: bool, problem: str) -> None:
    """Exit with `problem` if the condition is false."""
    if not condition:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()

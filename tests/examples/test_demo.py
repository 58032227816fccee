"""The demo: choice of the dataset, errors, and the final summary."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from tinysight._util.errors import StorageError
from tinysight.api import evaluate
from tinysight.data.sources.cifar10 import official
from tinysight.data.sources.cifar10.download import Archive
from tinysight.runs.run import Run

SCRIPT = Path(__file__).parents[2] / "examples" / "demo.py"
BANNER = "These are NOT real photographs: the demo uses the built-in dataset `shapes`."


@pytest.fixture
def demo(tinysight, monkeypatch, tmp_path):
    """The script as a module, in an empty folder, with CIFAR-10 neither present nor downloadable."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(official, "ARCHIVE", Archive("http://example.org/cifar-10-binary.tar.gz", 1, ""))
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(demo, trained, monkeypatch):
    """The commands of the demo; `train` is replaced by a copy of a finished run."""
    recorded = []

    def record(*arguments):
        recorded.append(arguments)
        if arguments[0] == "train":
            shutil.copytree(trained, arguments[arguments.index("--out") + 1])
        if arguments[0] == "evaluate":
            evaluate(Run(Path(arguments[1])))

    monkeypatch.setattr(demo, "tinysight", record)
    return recorded


def dataset_of(command):
    return command[command.index("--data") + 1]


def test_a_banner_announces_shapes_without_cifar10(demo, commands, capsys):
    demo.main()
    printed = capsys.readouterr().out
    assert BANNER in printed
    assert "CIFAR-10: no complete copy in" in printed
    assert "example.org" in printed
    assert dataset_of(commands[0]) == "shapes"


def test_there_is_no_banner_with_cifar10(demo, commands, monkeypatch, capsys):
    monkeypatch.setattr(demo.cifar10, "find", lambda: demo.cifar10.Location("binary", Path("images")))
    demo.main()
    assert dataset_of(commands[0]) == "cifar10"
    assert BANNER not in capsys.readouterr().out


def test_a_misspelled_data_dir_is_an_error(demo, commands, monkeypatch, capsys):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", "mistyped")
    with pytest.raises(SystemExit) as end:
        demo.main()
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert printed.err.startswith("error: mistyped: no CIFAR-10")
    assert (printed.out, commands) == ("", [])


def test_a_full_disk_is_an_error(demo, commands, monkeypatch, capsys):
    def fail(*_):
        raise StorageError("Cannot write the images: the disk is full.")

    monkeypatch.setattr(official, "download", fail)
    with pytest.raises(SystemExit) as end:
        demo.main()
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert printed.err == "error: Cannot write the images: the disk is full.\n"
    assert (printed.out, commands) == ("", [])


@pytest.mark.usefixtures("commands")
def test_the_summary_names_the_accuracy_and_existing_files(demo, capsys):
    demo.main()
    _, _, printed = capsys.readouterr().out.rpartition("Accuracy: ")
    accuracy = json.loads(Path("runs/demo-1/metrics.json").read_text())["accuracy"]
    assert printed.startswith(f"{accuracy:.1%} on 30 test images, built-in shapes (NOT real photographs)\n")
    files = re.findall(r"^  (runs/demo-1/\S+)  \w", printed, re.MULTILINE)
    assert len(files) >= 4
    assert [name for name in files if not Path(name).is_file()] == []


@pytest.mark.usefixtures("commands")
def test_the_summary_names_real_photographs(demo, monkeypatch, capsys):
    record = demo.tinysight

    def train_on_photographs(*arguments):
        record(*arguments)
        if arguments[0] == "train":
            run = Run(Path("runs/demo-1"))
            run.write_summary(run.summary().model_copy(update={"dataset": "cifar10"}))

    monkeypatch.setattr(demo, "tinysight", train_on_photographs)
    demo.main()
    assert "test images, real CIFAR-10 photographs\n" in capsys.readouterr().out


def test_a_second_demo_makes_a_new_run(demo, commands):
    demo.main()
    demo.main()
    assert [command[-1] for command in commands if command[0] == "train"] == ["runs/demo-1", "runs/demo-2"]


def test_the_commands_run_in_order(demo, commands, tinysight):
    demo.main()
    assert [command[0] for command in commands] == ["train", "evaluate", "predict"]
    shutil.rmtree("runs")
    for command in commands:
        smaller = ["shapes:train=100,test=50" if argument == "shapes" else argument for argument in command]
        shorter = ("--precision", "fp32", "--set", "training.max_epochs=1") if smaller[0] == "train" else ()
        outcome = tinysight(*smaller, *shorter)
        assert outcome.code == 0, f"{command}: {outcome.err}"


def test_a_failing_command_ends_the_demo_with_its_exit_code(demo):
    with pytest.raises(SystemExit) as end:
        demo.tinysight("recipes", "show", "no-such-recipe")
    assert end.value.code == 2

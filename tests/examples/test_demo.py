"""The demo shows photographs or says that it does not, and at the end names what it reached and where to look."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from tinysight.data.cifar10 import published
from tinysight.data.cifar10.download import Archive
from tinysight.errors import StorageError
from tinysight.evaluation.evaluate import evaluate
from tinysight.runs.run import Run

SCRIPT = Path(__file__).parents[2] / "examples" / "demo.py"
BANNER = "These are NOT photographs: the demo uses the built-in `shapes`."


@pytest.fixture
def demo(tinysight, monkeypatch, tmp_path):
    """The script as a module, in an empty folder, where CIFAR-10 is neither found nor can be fetched."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(published, "ARCHIVE", Archive("http://example.org/cifar-10-binary.tar.gz", 1, ""))
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(demo, trained, monkeypatch):
    """The commands that the demo gives. Instead of a training, a finished run is put where it says."""
    given = []

    def note(*arguments):
        given.append(arguments)
        if arguments[0] == "train":
            shutil.copytree(trained, arguments[arguments.index("--out") + 1])
        if arguments[0] == "evaluate":
            evaluate(Run(Path(arguments[1])))

    monkeypatch.setattr(demo, "tinysight", note)
    return given


def images_of(command):
    return command[command.index("--data") + 1]


def test_without_cifar10_a_banner_says_that_the_images_are_shapes(demo, commands, capsys):
    demo.main()
    told = capsys.readouterr().out
    assert BANNER in told
    assert "CIFAR-10 was not found whole in" in told
    assert "example.org" in told
    assert images_of(commands[0]) == "shapes"


def test_with_cifar10_at_hand_there_is_no_banner(demo, commands, monkeypatch, capsys):
    monkeypatch.setattr(demo.cifar10, "find", lambda: demo.cifar10.Location("binary", Path("images")))
    demo.main()
    assert images_of(commands[0]) == "cifar10"
    assert BANNER not in capsys.readouterr().out


def test_a_mistyped_data_dir_is_told_and_not_papered_over(demo, commands, monkeypatch, capsys):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", "mistyped")
    with pytest.raises(SystemExit) as end:
        demo.main()
    told = capsys.readouterr()
    assert end.value.code == 2
    assert told.err.startswith("error: mistyped: no CIFAR-10")
    assert (told.out, commands) == ("", [])


def test_a_full_disk_is_told_and_not_papered_over(demo, commands, monkeypatch, capsys):
    def fail(*_):
        raise StorageError("Cannot write the images: the disk is full.")

    monkeypatch.setattr(published, "install", fail)
    with pytest.raises(SystemExit) as end:
        demo.main()
    told = capsys.readouterr()
    assert end.value.code == 1
    assert told.err == "error: Cannot write the images: the disk is full.\n"
    assert (told.out, commands) == ("", [])


@pytest.mark.usefixtures("commands")
def test_it_ends_with_the_accuracy_and_the_files_to_open(demo, capsys):
    demo.main()
    _, _, told = capsys.readouterr().out.rpartition("Reached ")
    accuracy = json.loads(Path("runs/demo-1/metrics.json").read_text())["accuracy"]
    assert told.startswith(f"{accuracy:.1%} of 30 test images: built-in shapes (NOT photographs)\n")
    named = re.findall(r"^  (runs/demo-1/\S+)  \w", told, re.MULTILINE)
    assert len(named) >= 4
    assert [name for name in named if not Path(name).is_file()] == []


@pytest.mark.usefixtures("commands")
def test_photographs_are_called_so_at_the_end(demo, monkeypatch, capsys):
    do = demo.tinysight

    def of_photographs(*arguments):
        do(*arguments)
        if arguments[0] == "train":
            run = Run(Path("runs/demo-1"))
            run.write_summary(run.summary().model_copy(update={"dataset": "cifar10"}))

    monkeypatch.setattr(demo, "tinysight", of_photographs)
    demo.main()
    assert "test images: real CIFAR-10 photographs\n" in capsys.readouterr().out


def test_a_second_demo_leaves_the_run_of_the_first_alone(demo, commands):
    demo.main()
    demo.main()
    assert [command[-1] for command in commands if command[0] == "train"] == ["runs/demo-1", "runs/demo-2"]


def test_its_commands_work_one_after_the_other(demo, commands, tinysight):
    demo.main()
    assert [command[0] for command in commands] == ["train", "evaluate", "predict"]
    shutil.rmtree("runs")
    for command in commands:
        few = ["shapes:train=100,test=50" if word == "shapes" else word for word in command]
        outcome = tinysight(*few, *(["--precision", "fp32"] if few[0] == "train" else []))
        assert outcome.code == 0, f"{command}: {outcome.err}"


def test_a_command_that_fails_ends_it_with_the_same_exit_code(demo):
    with pytest.raises(SystemExit) as end:
        demo.tinysight("recipes", "show", "no-such-recipe")
    assert end.value.code == 2

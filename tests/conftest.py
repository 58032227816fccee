"""Shared fixtures: a finished run, a folder of images, the command line, and a failing disk."""

import io
import itertools
import math
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

# No deadlines: a cold start must not fail a test. The drawn examples stay the same.
settings.register_profile("tinysight", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tinysight")

# rich reads COLUMNS at import and keeps it; tests must not depend on the width of the terminal.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Use a temporary cache instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Use one thread, in subprocesses too: the networks of the tests are too small to gain from a second."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 20 reddish cats and 20 bluish dogs, of different sizes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 2)):
        (folder / name).mkdir()
        for number in range(20):
            pixels = random.integers(0, 120, (30 + number, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a run of two epochs on 100 `shapes`; tests must not change it."""
    from tinysight.data.load import load
    from tinysight.recipes import loading
    from tinysight.training.request import TrainConfig
    from tinysight.training.session import Session

    path, argument = tmp_path_factory.mktemp("finished") / "run", "shapes:train=100,test=30"
    recipe = loading.load_recipe("early-stopping", ["training.epochs=2"])
    Session(TrainConfig(recipe, load(argument), argument, path)).run()
    return path


@pytest.fixture(scope="session")
def detecting(tmp_path_factory):
    """The directory of a run on 200 `shapes`, 40 of them for validation, so that it has an OOD detector.

    Tests must not change it.
    """
    from tinysight.data.load import load
    from tinysight.recipes import loading
    from tinysight.training.request import TrainConfig
    from tinysight.training.session import Session

    path, argument = tmp_path_factory.mktemp("detecting") / "run", "shapes:train=200,test=30"
    recipe = loading.load_recipe("early-stopping", ["training.epochs=2", "data.validation_fraction=0.2"])
    Session(TrainConfig(recipe, load(argument), argument, path)).run()
    return path


@pytest.fixture
def finished_run(trained, tmp_path):
    """A copy of `trained` that the test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@dataclass
class Outcome:
    """Result of a command: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def next(self):
        """The next step: the last line of standard error, without "next: "."""
        assert self.err.splitlines()[-1].startswith("next: ")
        return self.err.splitlines()[-1].removeprefix("next: ")

    def refusal(self, code=2):
        """Check the exit code, and return the only error message, without "error: "."""
        *notices, last = self.err.splitlines()
        assert self.code == code
        assert last.startswith("error: ")
        assert not [line for line in notices if line.startswith("error: ")]
        return last.removeprefix("error: ")


@pytest.fixture
def tinysight(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder: `tinysight("train", "deep")`."""
    from tinysight.cli import main

    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TINYSIGHT_DATA_DIR", raising=False)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["tinysight", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Outcome(code, *capsys.readouterr())

    return run


def family_models():
    """Return functions from a number of classes to a small network configuration, at least one for each family."""
    from tinysight.models.registry import FAMILIES
    from tinysight.recipes.schema import ModelSection

    def layers(classes):
        return [
            {"kind": "convolution", "channels": 8, "kernel": (3, 3), "padding": "same"},
            {"kind": "batch_normalization"},
            {
                "kind": "residual",
                "layers": [
                    {"kind": "convolution", "channels": 12, "kernel": (3, 3), "stride": (2, 2), "padding": "same"}
                ],
                "shortcut": [{"kind": "convolution", "channels": 12, "kernel": (1, 1), "stride": (2, 2)}],
            },
            {"kind": "activation", "function": "relu"},
            {"kind": "global_average_pooling"},
            {"kind": "dense", "outputs": classes},
        ]

    def graph(classes):
        conv = {"kind": "convolution", "channels": 8, "kernel": (3, 3), "padding": "same"}
        nodes = [
            ("stem", ["input"], conv | {"stride": (2, 2)}),
            ("squeeze", ["stem"], {"kind": "global_average_pooling"}),
            ("excite", ["squeeze"], {"kind": "dense", "outputs": 8}),
            ("gate", ["excite"], {"kind": "activation", "function": "sigmoid"}),
            ("scaled", ["stem", "gate"], {"kind": "multiply"}),
            ("norm", ["stem"], {"kind": "batch_normalization"}),
            ("joined", ["scaled", "norm", "stem"], {"kind": "concatenate"}),
        ]
        named = [{"name": name, "inputs": inputs, "layer": layer} for name, inputs, layer in nodes]
        ends = [{"kind": "global_max_pooling"}, {"kind": "dense", "outputs": classes}]
        return [{"kind": "graph", "nodes": named}, *ends]

    needed = {
        "fast": [
            lambda _: {"stem_stride": 1, "channels": [8, 16, 16]},
            lambda _: {"stem_stride": 2, "channels": [8, 16]},
        ],
        "layers": [
            lambda classes: {"layers": layers(classes)},
            lambda classes: {"layers": graph(classes)},
        ],
        "onnx": [lambda _: {"extractor": {"sha256": "0" * 64, "n_bytes": 9, "n_features": 5}}],
        "resnet-9": [lambda _: {"channels": [8, 8, 16, 16]}],
    }
    return {
        f"{name} {number or ''}".strip(): lambda classes, name=name, keys=keys: ModelSection(
            architecture=name, **keys(classes)
        )
        for name in FAMILIES
        for number, keys in enumerate(needed.get(name, [lambda _: {}]))
    }


@pytest.fixture(scope="session")
def published_tensors():
    """A function that returns random tensors with the names and shapes of a family's file from timm.

    Its arguments are the family, and the size of the images. There are 10 classes.
    """
    return lambda family, size: _random_tensors(_published_shapes(family, size))


def _random_tensors(shapes):
    """Return tensors that keep the size of activations, and in which no two channels are equal."""
    import torch

    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            tensors[name] = values.abs() + 0.5
        elif len(shape) == 1:
            tensors[name] = values * 0.2 + (1 if name.endswith("weight") else 0)
        else:
            tensors[name] = values / math.sqrt(math.prod(shape[1:])) if len(shape) != 3 else values
    return tensors


def _published_shapes(family, size):
    """Return the shapes of the tensors of a published file, for `size` x `size` images, from a network's own."""
    import torch

    from tinysight.models.registry import build_network
    from tinysight.recipes.schema import ModelSection

    network = build_network(ModelSection(architecture=family.name), 10, size)
    if family.name == "vit-tiny":
        shapes = {name: tuple(tensor.shape) for name, tensor in network.body.state_dict().items()}
    else:
        modules = [module for module in network.modules() if not list(module.children()) and module.state_dict()]
        shapes = {}
        for name, module in zip(family.published_names(), modules, strict=False):
            for key, tensor in module.state_dict().items():
                is_dense = isinstance(module, torch.nn.Linear) and key == "weight"
                shapes[f"{name}.{key}"] = (*tensor.shape, 1, 1) if is_dense else tuple(tensor.shape)
    width = next(module for module in network.head.modules() if isinstance(module, torch.nn.Linear)).in_features
    head = "head" if family.name == "vit-tiny" else "classifier"
    return shapes | {f"{head}.weight": (10, width), f"{head}.bias": (10,)}


def pytest_generate_tests(metafunc):
    """Run tests with an argument `family_model` for each of `family_models`."""
    if "family_model" in metafunc.fixturenames:
        models = family_models()
        metafunc.parametrize("family_model", models.values(), ids=models.keys())


class PowerCutError(BaseException):
    """Simulated power cut: later calls have no effect."""


class Disk:
    """Records every system call that changes the disk, and simulates failures.

    Attributes:
        calls: names of the calls so far.
        off_at: index of the call from which on the power is off, or None.
        fails: error number by name of the failing call.
    """

    CHANGES = ("open", "mkdir", "chmod", "replace", "rename", "unlink", "fsync")

    def __init__(self, patch):
        self.calls, self.off_at, self.fails = [], None, {}
        for name in self.CHANGES:
            patch.setattr(os, name, self._recorded(name, getattr(os, name)))

    def _recorded(self, name, call):
        def recorded(*arguments, **keywords):
            if len(self.calls) == self.off_at:
                raise PowerCutError
            if name in self.fails:
                raise OSError(self.fails[name], os.strerror(self.fails[name]))
            self.calls.append(name)
            return call(*arguments, **keywords)

        return recorded


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def power_cuts(monkeypatch):
    """Repeat `work`, cutting the power one call later each time, until it finishes.

    `for _ in power_cuts(work)`: the body checks the state after each power cut, and after the complete work.
    """

    def cuts(work):
        for off_at in itertools.count():
            with monkeypatch.context() as patch:
                disk = Disk(patch)
                disk.off_at = off_at
                with suppress(PowerCutError):
                    work()
                finished = len(disk.calls) < off_at
            yield
            if finished:
                return

    return cuts


ON_REAL_DATA = pytest.StashKey[set]()


def pytest_collection_finish(session):
    """Record the tests that need the real CIFAR-10."""
    session.config.stash[ON_REAL_DATA] = {item.nodeid for item in session.items if item.get_closest_marker("data")}


def on_real_data(config, *outcomes):
    """Return the ids of these tests that ended with one of `outcomes`."""
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    node_ids = {report.nodeid for outcome in outcomes for report in stats.get(outcome, [])}
    return node_ids & config.stash.get(ON_REAL_DATA, set())


def all_skipped_despite_data_dir(config):
    """Return whether TINYSIGHT_DATA_DIR is set and all of these tests were skipped."""
    ran, skipped = on_real_data(config, "passed", "failed"), on_real_data(config, "skipped")
    return bool(os.environ.get("TINYSIGHT_DATA_DIR") and skipped and not ran)


def pytest_sessionfinish(session):
    """Fail the session if TINYSIGHT_DATA_DIR is misspelled."""
    if session.exitstatus == pytest.ExitCode.OK and all_skipped_despite_data_dir(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    """Print how many of these tests ran."""
    ran, skipped = len(on_real_data(config, "passed", "failed")), len(on_real_data(config, "skipped"))
    if ran or skipped:
        terminalreporter.write_line(f"on real CIFAR-10: {ran} tests ran, {skipped} were skipped")
    if all_skipped_despite_data_dir(config):
        terminalreporter.write_line("failed: TINYSIGHT_DATA_DIR holds no CIFAR-10. Correct or unset it.", red=True)

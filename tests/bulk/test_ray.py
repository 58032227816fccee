"""The Ray backend gives the same rows, also when workers or machines are lost."""

from pathlib import Path

import pytest

from tests.bulk.conftest import png, table
from tinysight._util.errors import InputError
from tinysight.bulk.batch_predict import batch_predict
from tinysight.runs.run import Run

psutil = pytest.importorskip("psutil")
ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

# Ray leaves its pipes to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cluster():
    """A head node without cores and two nodes with one core each, all of them local processes."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    patch.undo()


@pytest.fixture
def many(empty):
    """Enough images for fifty shards."""
    for number in range(150):
        empty.image(f"{number:03}.png", png(number))
    return empty


class FailureAtThird:
    """Progress that calls `event` once a third of the input is done."""

    def __init__(self, event):
        self.event, self.done = event, 0

    def start(self, task, total, unit=""):
        self.third = total // 3

    def advance(self, amount, **metrics):
        self.done += amount
        if self.done >= self.third and self.event:
            self.event, event = None, self.event
            event()

    def finish(self, line=""):
        assert self.event is None or not self.done, "the event was not triggered"

    def note(self, message):
        """Ignore notices."""


def predict_on_ray(run, inputs, out, **options):
    return batch_predict(Run.open(Path(run)), str(inputs.folder), str(out), engine="ray", **options)


def test_ray_writes_the_same_rows_as_one_process(trained, inputs, cluster, tmp_path):
    predict_on_ray(trained, inputs, tmp_path / "ray")
    batch_predict(Run.open(Path(trained)), str(inputs.folder), str(tmp_path / "local"), workers=1)
    assert table(tmp_path / "ray") == table(tmp_path / "local")


def test_killed_worker_and_lost_machine_lose_no_row(trained, many, cluster, tmp_path):
    def kill_a_worker():
        while not (workers := [process for process in psutil.process_iter() if process.name() == "ray::_run_shard"]):
            pass  # both workers are between two shards
        workers[0].kill()

    def lose_a_machine():
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    cluster.add_node(num_cpus=1)  # the node to lose
    for event, out in ((kill_a_worker, tmp_path / "worker"), (lose_a_machine, tmp_path / "machine")):
        predict_on_ray(trained, many, out, progress=FailureAtThird(event))
        assert table(out).keys() == many.expected.keys()


def test_error_on_a_worker_reaches_the_driver(trained, many, cluster, tmp_path):
    failure = FailureAtThird((tmp_path / "out" / "_tinysight.json").unlink)
    with pytest.raises(InputError, match=r"out: is not visible from every machine\. Choose a shared output"):
        predict_on_ray(trained, many, tmp_path / "out", progress=failure)

"""Ray does the same work, and loses none of it when workers or machines are lost."""

from pathlib import Path

import pytest

from tests.bulk.conftest import png, table
from tinysight.bulk.predict import predict
from tinysight.errors import InputError
from tinysight.runs.run import Run

psutil = pytest.importorskip("psutil")
ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

# Ray leaves its pipes to the collector of garbage.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, which hands the work out, and two machines of one core, all of them processes here."""
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
    """Enough pictures for a hundred units."""
    for number in range(300):
        empty.picture(f"{number:03}.png", png(number))
    return empty


class Losing:
    """Watches the progress of a prediction, and has something happen when a third of it is done."""

    def __init__(self, event):
        self.event, self.done = event, 0

    def start(self, task, total, unit=""):
        self.third = total // 3

    def advance(self, amount, **figures):
        self.done += amount
        if self.done >= self.third and self.event:
            self.event, event = None, self.event
            event()

    def finish(self, line=""):
        assert self.event is None or not self.done, "nothing was lost"

    def note(self, message):
        """Say nothing."""


def bulk(run, inputs, out, **options):
    return predict(Run.open(Path(run)), str(inputs.folder), str(out), engine="ray", **options)


def test_ray_writes_the_rows_that_one_process_writes(trained, inputs, cluster, tmp_path):
    bulk(trained, inputs, tmp_path / "ray")
    predict(Run.open(Path(trained)), str(inputs.folder), str(tmp_path / "local"), workers=1)
    assert table(tmp_path / "ray") == table(tmp_path / "local")


def test_a_killed_worker_and_then_a_lost_machine_cost_no_row(trained, many, cluster, tmp_path):
    def kill_a_worker():
        while not (found := [process for process in psutil.process_iter() if process.name() == "ray::_do"]):
            pass  # both are between two units
        found[0].kill()

    def lose_a_machine():
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    cluster.add_node(num_cpus=1)  # the one that will be lost
    for event, out in ((kill_a_worker, tmp_path / "worker"), (lose_a_machine, tmp_path / "machine")):
        bulk(trained, many, out, progress=Losing(event))
        assert table(out).keys() == many.expected.keys()


def test_what_fails_on_a_worker_is_the_sentence_that_it_is_here(trained, many, cluster, tmp_path):
    losing = Losing((tmp_path / "out" / "_tinysight.json").unlink)
    with pytest.raises(InputError, match="out cannot be seen from every machine; name an --output that can"):
        bulk(trained, many, tmp_path / "out", progress=losing)

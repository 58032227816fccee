"""A whole audit: all sections, saved one by one, and resumed."""

import json

import numpy as np
import pytest

from tinysight._util.errors import DataError, RunError
from tinysight._util.progress import SilentProgress
from tinysight.auditing import audit as module
from tinysight.auditing import context
from tinysight.auditing.audit import audit
from tinysight.auditing.context import AuditContext
from tinysight.auditing.registry import SECTIONS
from tinysight.auditing.sections.label_errors import LabelErrors
from tinysight.auditing.sections.membership_inference import MembershipInferenceSection, lira
from tinysight.auditing.sections.subgroups import FileSubgroups
from tinysight.auditing.shadow_models import ShadowModel, ShadowModels, float32_logits
from tinysight.data.image_ids import read_rows
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    """Corrupt only ten images, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "MAX_PROBED", 10)
        yield


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


@pytest.fixture(scope="module")
def audited(trained, tmp_path_factory):
    import shutil

    run = Run(shutil.copytree(trained, tmp_path_factory.mktemp("audited") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "N_SHADOW_MODELS", 2)
        return run, audit(run)


def test_all_sections_without_extra_input_are_computed(audited):
    run, results = audited
    assert results == RunArtifacts(run).audit()
    assert results.result(FileSubgroups()) is None
    for section in SECTIONS:
        if section.requires != "groups_file":
            assert results.result(section) is not None


def test_members_are_the_training_images(audited):
    _, results = audited
    membership = results.result(MembershipInferenceSection())
    # 100 training and 30 test images; 10 training images are held out for validation
    assert (membership.n_members, membership.n_non_members) == (90, 40)
    assert membership.n_shadow_models == 2


def test_the_most_exposed_images_are_the_training_images_with_the_highest_scores(audited):
    run, results = audited
    context = AuditContext.from_run(run)
    shadows = ShadowModels.stack(
        [ShadowModel(*model) for model in RunArtifacts(run).shadow_models()], context.pool.labels
    )
    scores = lira(float32_logits(context.classifier, context.pool), shadows)
    names = np.array(context.names)[context.is_member]
    ranked = names[np.argsort(-scores[context.is_member], kind="stable")]
    exposed = results.result(MembershipInferenceSection()).most_exposed
    assert list(exposed) == ranked[: len(exposed)].tolist()


def test_audit_json_is_plain_json(audited):
    run, _ = audited
    values = json.loads((run.path / "audit.json").read_text())["sections"]
    assert values["robustness"]["n"] == 10
    assert set(values["membership"]["attacks"]) == {"loss", "class-wise loss", "LiRA"}


def test_label_errors_are_also_written_as_csv(audited):
    run, results = audited
    rows = read_rows(run.path / "label_issues.csv")
    assert [(row["image"], row["label"], row["suggested"]) for row in rows] == [
        (suspect.image, suspect.label, suspect.suggested) for suspect in results.result(LabelErrors()).issues
    ]


def test_existing_sections_are_not_recomputed(audited, monkeypatch):
    run, results = audited
    for section in SECTIONS:
        monkeypatch.setattr(type(section), "compute", None)
    monkeypatch.setattr(module, "train_shadow_model", None)
    assert audit(run, minutes=0) == results


def test_shadow_models_are_trained_until_the_deadline(run, monkeypatch):
    monkeypatch.setattr(module, "SECTIONS", (LabelErrors(), MembershipInferenceSection()))
    clock = iter(np.arange(0, 10_000, 10.0))  # each call of perf_counter advances ten seconds
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(module, "train_shadow_model", lambda *args: module.ShadowModel(*fake(args)))

    def fake(args):
        pool, number = args[2], args[3]
        return np.arange(len(pool)) % 2 == number % 2, np.zeros((len(pool), 10), np.float32)

    membership = audit(run, minutes=3).result(MembershipInferenceSection())
    assert membership.n_shadow_models % 2 == 0
    assert 2 <= membership.n_shadow_models <= 8
    assert len(list(RunArtifacts(run).shadow_models())) == membership.n_shadow_models


def test_without_time_for_shadow_models_their_sections_are_empty(run, monkeypatch):
    monkeypatch.setattr(module, "SECTIONS", (LabelErrors(), MembershipInferenceSection()))
    results = audit(run, minutes=0)
    assert (results.result(LabelErrors()), results.result(MembershipInferenceSection())) == (None, None)


def test_an_audit_of_other_weights_is_ignored(audited, tmp_path):
    import shutil

    run = Run(shutil.copytree(audited[0].path, tmp_path / "run"))
    run.write_classifier(run.classifier())
    assert RunArtifacts(run).audit() is None
    assert list(RunArtifacts(run).shadow_models()) == []


def test_a_modified_audit_json_is_refused(audited, tmp_path):
    import shutil

    run = Run(shutil.copytree(audited[0].path, tmp_path / "run"))
    path = run.path / "audit.json"
    path.write_text(path.read_text().replace('"significant": false', '"significant": true', 1))
    with pytest.raises(RunError, match=r"audit\.json: modified after it was written"):
        RunArtifacts(run).audit()


def groups_file(tmp_path, text):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    return path


def test_groups_of_a_csv_file_are_compared(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECTIONS", (FileSubgroups(),))
    rows = "".join(f"test/{index},{'old' if index % 3 else 'new'}\n" for index in range(30))
    results = audit(run, minutes=0, groups=groups_file(tmp_path, "image,camera\n" + rows))
    gaps = results.result(FileSubgroups())
    assert {gap.group for gap in gaps} == {"old", "new"}
    assert {gap.column for gap in gaps} == {"camera"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,camera\ntrain/1,old\n", "images not in the test set of shapes: train/1"),
        ("image\ntest/1\n", "no column of groups beside 'image'"),
        ("camera\nold\n", "no column 'image'"),
    ],
)
def test_invalid_groups_are_refused_before_other_work(run, tmp_path, text, message, monkeypatch):
    for section in SECTIONS:
        if section.requires != "groups_file":
            monkeypatch.setattr(type(section), "compute", None)
    with pytest.raises(DataError, match=message):
        audit(run, minutes=0, groups=groups_file(tmp_path, text))


@pytest.fixture
def requests(run, monkeypatch):
    """Replace the training of shadow models; return the recipe, number and seed of each."""
    received = []

    def train(recipe, dataset, pool, number, seed, *_):
        received.append((recipe, number, seed))
        return ShadowModel(np.arange(len(pool)) % 2 == number % 2, np.zeros((len(pool), 10), np.float32))

    monkeypatch.setattr(module, "SECTIONS", (LabelErrors(), MembershipInferenceSection()))
    monkeypatch.setattr(module, "train_shadow_model", train)
    return received


def test_four_shadow_models_are_trained_without_a_limit_with_the_recipe_and_seed_of_the_run(run, requests):
    audit(run)
    recipe = run.recipe()
    assert requests == [(recipe, number, run.environment().seed) for number in range(4)]
    assert recipe.training.epochs == 2


def test_shadow_models_of_earlier_audits_are_kept_and_an_odd_number_is_completed(run, requests):
    artifacts = RunArtifacts(run)
    for number in range(3):
        artifacts.write_shadow_model(number, np.arange(130) % 2 == number % 2, np.zeros((130, 10), np.float32))
    membership = audit(run, minutes=0).result(MembershipInferenceSection())
    assert [number for _, number, _ in requests] == [3]
    assert membership.n_shadow_models == 4
    assert len(list(artifacts.shadow_models())) == 4
    audit(run)
    assert len(requests) == 1


def test_a_time_budget_is_replaced_by_the_epochs_that_the_run_trained(run, requests):
    recipe = run.recipe()
    timed = recipe.training.model_copy(update={"minutes": 5.0})
    run.write_recipe(recipe.model_copy(update={"training": timed.model_copy(update={"epochs": 40})}))
    audit(run)
    training = requests[0][0].training
    assert (training.minutes, training.epochs) == (None, 2)


def test_new_shadow_models_replace_the_earlier_results(run, requests):
    first = audit(run)
    artifacts = RunArtifacts(run)
    artifacts.write_shadow_model(4, np.arange(130) % 2 == 0, np.zeros((130, 10), np.float32))
    second = audit(run, minutes=0)
    numbers = [results.result(MembershipInferenceSection()).n_shadow_models for results in (first, second)]
    assert numbers == [4, 6]


def test_progress_states_the_number_and_the_images_of_a_shadow_model(run, requests):
    class Recorder(SilentProgress):
        tasks = ()

        def start(self, task, total, unit=""):
            self.tasks += ((task, total, unit),)

    progress = Recorder()
    audit(run, progress=progress)
    shadows = [task for task in progress.tasks if task[0].startswith("shadow")]
    assert shadows == [(f"shadow model {number}", 2 * 130 // 2, "images") for number in (1, 2, 3, 4)]

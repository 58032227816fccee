"""Training loop: trains a network step by step.

A trainer can be saved to a checkpoint between any two steps and restored bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight._util.errors import ModelError, TrainingError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.data.pixels import Pixels, take
from tinysight.data.splits import TrainSplit
from tinysight.models.classifier import Classifier, ClassifierSpec, batch_size, iter_batches, max_margin_error
from tinysight.models.network import NetworkFactory, logits_and_embedding
from tinysight.models.ood import MAX_STORED, OodDetector, count_stored, fit_ood_threshold
from tinysight.models.registry import family_of
from tinysight.recipes.schema import Recipe
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import EpochRecord
from tinysight.training import optimizers
from tinysight.training.backbone import find_backbone
from tinysight.training.budget import TimeBudget
from tinysight.training.device import Device
from tinysight.training.distributed.gradient_sync import GradientSync
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.early_stopping import EarlyStoppingState
from tinysight.training.loader import BatchLoader, fit_normalization
from tinysight.training.lr_schedule import lr_scale
from tinysight.training.objective import OBJECTIVES
from tinysight.training.precision import Precision, autocast
from tinysight.training.seeding import derive_seed


@dataclass
class EpochState:
    """Progress within training: finished epochs, steps of the current epoch, and its sums so far.

    Attributes:
        epoch: finished epochs.
        step: steps of the current epoch.
        images: images trained on in the current epoch.
        loss_sum: sum of their losses.
        correct: number of correct predictions among them, see `Objective.count_correct`.
        seconds: time spent on these steps.
    """

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss_sum: float = 0.0
    correct: float = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network by one recipe; every random number depends only on the seed and the position.

    With a time budget, training ends when the time is over and schedules depend on the time instead of the epochs.

    In distributed training each worker has its own trainer and makes the same calls in the same order. Steps,
    validation and the time are synchronized; `checkpoint` and `restore` are local.

    Attributes:
        saves_epochs: whether a checkpoint is worth its time and space after an epoch.
    """

    saves_epochs: ClassVar[bool] = True

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        split: TrainSplit,
        seed: int,
        precision: Precision,
        device: Device = "cpu",
        group: ProcessGroup = SINGLE,
        network: NetworkFactory | None = None,
    ) -> None:
        self.recipe, self.split, self.seed, self.precision, self.device = recipe, split, seed, precision, device
        self.group, self.objective = group, OBJECTIVES[dataset.task]
        self.objective.check(recipe)
        torch.manual_seed(derive_seed(seed, "weights"))
        normalization = fit_normalization(recipe, split)
        self.loader = BatchLoader(split, recipe, normalization, seed, device, len(dataset.class_names))
        family, image_size = family_of(recipe.model, network), recipe.data.image_size
        self.network = family.build(recipe.model, len(dataset.class_names), image_size)
        if recipe.model.backbone is None:
            family.initialize(self.network, image_size, self.loader.sample)
        else:
            find_backbone(recipe.model.backbone).load_into(self.network, dataset.class_names)
        # The signs of the fast family's eigenvectors may differ between machines.
        self.network.load_state_dict(group.run_on_main(self.network.state_dict))
        self.network.to(device)
        self.gradient_sync = GradientSync(group, self.network, recipe.training)
        spec = ClassifierSpec(
            model=recipe.model,
            class_names=dataset.class_names,
            image_size=image_size,
            mean=normalization.mean,
            std=normalization.std,
            tta_shift=1 if recipe.augmentation.crop_padding else 0,
            notes=dataset.notes,
            crops=dataset.crops,
            **self.objective.initial_spec(len(dataset.class_names)),
        )
        self.classifier = Classifier(spec, self.network)
        self.optimizer = optimizers.build_optimizer(self.network.parameters(), recipe.optimizer, precision)
        steps_per_epoch, training = self.loader.steps_per_epoch, recipe.training
        self.early_stopping = (
            EarlyStoppingState(recipe.early_stopping, steps_per_epoch if training.minutes is not None else None)
            if recipe.early_stopping
            else None
        )
        self.state = EpochState()
        self.budget = TimeBudget(
            training.epochs * steps_per_epoch,
            max_steps=None if training.max_epochs is None else training.max_epochs * steps_per_epoch,
        )
        self.history: list[EpochRecord] = []
        self.never_predicted: dict[str, int] = {}  # classes and their validation images; set by `calibrate`
        self.best_weights: dict[str, Tensor] = {}

    def set_time_budget(self, seconds: float) -> None:
        """Train for `seconds`, including final validation and calibration."""
        self.budget = replace(self.budget, limit_seconds=seconds)
        precisions: list[Precision] = [self.precision, "fp32"]
        for precision in precisions:
            self._estimate_validation_seconds(precision)  # torch prepares each shape once; keep that out of the timing
        validation, fp32_validation = (self._estimate_validation_seconds(precision) for precision in precisions)
        n_predicted = len(self.split.validation) + len(self._detector_images())
        calibration = fp32_validation * n_predicted / len(self.split.validation)
        calibration += validation if self._checks_bf16 else 0
        self.budget.validation_seconds, self.budget.reserved_seconds = validation, validation + calibration

    @property
    def done(self) -> bool:
        """Whether training is complete; never before the first epoch ends or in mid-epoch."""
        between_epochs = bool(self.history) and self.state.step == 0
        return between_epochs and (
            self.progress == 1 or (self.early_stopping is not None and self.early_stopping.should_stop)
        )

    @property
    def stopped_early(self) -> bool:
        """Whether training is complete because of early stopping, before its last epoch or the end of its time."""
        return self.early_stopping is not None and self.early_stopping.should_stop and self.progress < 1

    @property
    def progress(self) -> float:
        """Fraction of the training that is done, 0..1; with a time budget, as the main worker measures it."""
        progress = self.budget.progress(self.state.epoch * self.loader.steps_per_epoch + self.state.step)
        return progress if self.budget.limit_seconds is None else self.group.run_on_main(lambda: progress)

    def step(self) -> int:
        """Train on the next batch of this epoch and return its number of images."""
        start, state, training = time.perf_counter(), self.state, self.recipe.training
        images, labels = self.loader.batch(state.epoch, state.step)
        weights = self.loader.weights(state.epoch, state.step)
        self._seed_dropout()
        self._set_train_mode()
        # A dataset smaller than a batch gets a smaller gradient, since the learning rates suit full batches.
        size = training.batch_size if training.drop_last else len(labels)
        sums = [
            self._backward(images[part], labels[part], size, None if weights is None else weights[part])
            for part in self.gradient_sync.shard(len(labels))
        ]
        loss, correct = self.gradient_sync.reduce([sum(column) for column in zip((0.0, 0), *sums, strict=True)])
        state.loss_sum, state.correct = state.loss_sum + self._finite(loss), state.correct + correct
        self.optimizer.step(self.lr_scale)
        self.optimizer.zero_grad()
        state.images, state.step = state.images + len(labels), state.step + 1
        state.seconds += time.perf_counter() - start
        return len(labels)

    def step_scores(self) -> dict[str, float]:
        """Return the mean loss and the accuracy of the epoch so far, for the progress bar."""
        return {"loss": self.state.loss_sum / self.state.images, "accuracy": self.state.correct / self.state.images}

    @property
    def lr_scale(self) -> float:
        """Current factor of the learning-rate schedule, 0..1."""
        return lr_scale(self.recipe, self.progress, self.budget.steps)

    def end_epoch(self) -> EpochRecord:
        """Validate, record the epoch's metrics and move to the next epoch."""
        state = self.state
        start = time.perf_counter()
        scores = self._validate()
        self.budget.record_validation(time.perf_counter() - start)
        epoch = EpochRecord(
            epoch=state.epoch + 1,
            seconds=state.seconds,
            images_per_second=state.images / state.seconds,
            loss=state.loss_sum / state.images,
            accuracy=state.correct / state.images,
            lr=self.recipe.optimizer.learning_rate * self.lr_scale,
            **scores,
        )
        self.history.append(epoch)
        self.state = EpochState(epoch=state.epoch + 1)
        if (
            self.early_stopping
            and self.early_stopping.update(epoch)
            and self.early_stopping.config.restore_best_weights
        ):
            self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return epoch

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy of the weights that `finish` keeps, or None if not measured."""
        return self._kept_epoch.val_accuracy if self._kept_epoch else None

    @property
    def val_score(self) -> float | None:
        """The main measure of the task on the validation images, as for `val_accuracy`."""
        return self._kept_epoch.val_score if self._kept_epoch else None

    @property
    def val_balanced_accuracy(self) -> float | None:
        """Mean recall of the classes on the validation images, as for `val_accuracy`."""
        return self._kept_epoch.val_balanced_accuracy if self._kept_epoch else None

    @property
    def val_mean_average_precision(self) -> float | None:
        """Mean average precision (mAP) of the labels on the validation images; None for one class per image."""
        return self._kept_epoch.val_mean_average_precision if self._kept_epoch else None

    @property
    def _kept_epoch(self) -> EpochRecord | None:
        """The epoch of the weights that `finish` keeps, or None if they were not validated."""
        if self.history and self.early_stopping and self.early_stopping.config.restore_best_weights:
            return self.history[self.early_stopping.best_epoch - 1]
        in_mid_epoch = self.state.step > 0
        return self.history[-1] if self.history and not in_mid_epoch else None

    def finish(self) -> Classifier:
        """Return the classifier, with the best weights if the recipe restores them."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)
        return self.classifier

    def calibrate(self, classifier: Classifier) -> Classifier:
        """Return `classifier` with its calibration and its OOD detector.

        The temperature, the thresholds and the bf16 margin are fitted on the validation images. The detector stores
        some of the training images.
        """
        detector = self._fit_detector()
        logits, labels, scores = self._predict(self.split.validation, "fp32", detector)
        ood_threshold = fit_ood_threshold(scores)
        fitted, doubt = self.objective.calibrate(logits, labels, self.recipe.training.target_error), None
        self.never_predicted = self.objective.never_predicted(logits, labels, classifier.class_names)
        if self._checks_bf16:
            bf16_logits, _ = self._predict_logits(self.split.validation, "bf16")
            doubt = max_margin_error(bf16_logits, logits)
        calibrated = classifier.with_spec(
            **fitted, bf16_margin=doubt, n_calibration=len(labels), ood_threshold=ood_threshold
        )
        return replace(calibrated, detector=None if ood_threshold is None else detector)

    def checkpoint(self) -> Checkpoint:
        """Return the state needed to resume.

        Raises:
            TrainingError: the weights are not finite.
        """
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            raise self._diverged("the weights are not finite")
        groups = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best_weights,
        }
        tensors = {f"{group}/{name}": t for group, members in groups.items() for name, t in members.items()}
        state = {
            "position": asdict(self.state),
            "optimizer_steps": self.optimizer.steps,
            "history": [epoch.model_dump() for epoch in self.history],
            "early_stopping": self.early_stopping.state() if self.early_stopping and self.history else None,
            "time_budget": self.budget.state(),
        }
        return Checkpoint(tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "best": {}}
        for key, tensor in checkpoint.tensors.items():
            group, name = key.split("/", 1)
            groups[group][name] = tensor
        state = checkpoint.state
        self.network.load_state_dict(groups["network"])
        self.optimizer.load_state_dict(groups["optimizer"], state["optimizer_steps"])
        self.best_weights = groups["best"]
        self.state = EpochState(**state["position"])
        self.history = [EpochRecord.model_validate(epoch) for epoch in state["history"]]
        self.budget = replace(self.budget, **state["time_budget"])
        if self.early_stopping and state["early_stopping"]:
            self.early_stopping = replace(self.early_stopping, **state["early_stopping"])

    @property
    def _checks_bf16(self) -> bool:
        """Whether the classifier will predict in bfloat16 where its margin is large enough."""
        return self.precision == "bf16" and self.device == "cpu" and self.objective.decides_by_margin

    def _set_train_mode(self) -> None:
        self.network.train()

    def _seed_dropout(self) -> None:
        rank = () if self.group.is_main else (self.group.rank,)  # a different dropout mask on every worker
        seed = derive_seed(self.seed, "dropout", self.state.epoch, self.state.step, *rank)
        # `torch.manual_seed` seeds every kind of device, which takes 2 % of a step of the smallest network.
        if self.device == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.cuda.manual_seed(seed)

    def _backward(
        self, images: Tensor, labels: Tensor, size: int, weights: Tensor | None = None
    ) -> tuple[float, float]:
        """Accumulate the gradients of the loss sum over `size`; return the loss sum and the number correct."""
        with autocast(self.precision, self.device):
            logits = self.network(images).float()
        loss = self.objective.loss(logits, labels, self.recipe.training.label_smoothing, weights)
        (loss * self.objective.gradient_scale / size).backward()
        return loss.item(), self.objective.count_correct(logits, labels)

    @torch.inference_mode()
    def _validate(self) -> dict[str, Any]:
        """Return the metrics on the validation images, by their names in `EpochRecord`."""
        scores = self.objective.validate(*self._predict_logits(self.split.validation, self.precision))
        self._finite(scores["val_loss"] or 0.0)
        return scores

    def _predict_logits(self, split: Split, precision: Precision) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) of the current weights, and labels (n,); each worker predicts its slice."""
        logits, labels, _ = self._predict(split, precision, None)
        return logits, labels

    @torch.inference_mode()
    def _predict(
        self, split: Split, precision: Precision, detector: OodDetector | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits and labels as `_predict_logits`, and OOD scores (n,), which are NaN without a detector."""
        self.network.eval()
        own = self.group.local_slice(len(split))
        logits, scores = torch.zeros(len(split), len(self.classifier.class_names)), torch.zeros(len(split))
        start = own.start or 0
        for pixels in iter_batches(split.pixels[own], self.recipe.model.input_size):
            batch = slice(start, start + len(pixels))
            start, images = batch.stop, self._normalized(pixels)
            with autocast(precision, self.device):
                outputs = (self.network(images),) if detector is None else logits_and_embedding(self.network, images)
            logits[batch] = outputs[0].float().cpu()
            scores[batch] = math.nan if detector is None else detector.scores(outputs[-1].cpu(), logits[batch])
        self.group.all_reduce([logits, scores])
        return logits, torch.from_numpy(split.labels), scores

    def _normalized(self, pixels: Pixels) -> Tensor:
        """Return uint8 images (n, 3, height, width) as the network takes them."""
        images = torch.from_numpy(pixels).to(self.device).float().contiguous(memory_format=torch.channels_last)
        return self.classifier.spec.normalization(images)

    def _fit_detector(self) -> OodDetector | None:
        """Return a detector that stores random training images; None if the network has no embedding."""
        try:
            logits, features = self._embed(take(self.split.train.pixels, self._detector_images()))
        except ModelError:  # a user's own network
            return None
        stored = count_stored(*features.shape)
        return OodDetector.fit(features[:stored], logits[:stored], self.classifier.task)

    @torch.inference_mode()
    def _embed(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Return the logits and embeddings of images on every worker. Raises ModelError if there are none."""
        self.network.eval()
        outputs = [
            logits_and_embedding(self.network, self._normalized(batch))
            for batch in iter_batches(pixels, self.recipe.model.input_size)
        ]
        logits, features = (torch.cat(parts).float().cpu() for parts in zip(*outputs, strict=True))
        return logits, features

    def _detector_images(self) -> NDArray[np.int64]:
        """Return the indices of random training images, at most as many as a detector stores."""
        random = np.random.default_rng(derive_seed(self.seed, "detector"))
        chosen: NDArray[np.int64] = random.permutation(self.split.train_indices)[:MAX_STORED]
        return chosen

    def _estimate_validation_seconds(self, precision: Precision) -> float:
        """Return the estimated seconds of a validation, extrapolated from one batch."""
        validation, start = self.split.validation, time.perf_counter()
        count = batch_size(max(self.recipe.data.image_size, self.recipe.model.input_size or 0))
        sample = Split(validation.pixels[:count], validation.labels[:count])
        self._predict_logits(sample, precision)
        return (time.perf_counter() - start) * len(validation) / len(sample)

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return loss

    def _diverged(self, problem: str) -> TrainingError:
        return TrainingError(
            f"training diverged: {problem} in epoch {self.state.epoch + 1}, step {self.state.step + 1}. "
            f"Try a smaller optimizer.learning_rate than {self.recipe.optimizer.learning_rate:g}."
        )


def show_progress(progress: Progress, trainer: Trainer, amount: int) -> None:
    """Advance the progress by `amount` images and show the epoch's loss and accuracy so far."""
    progress.advance(amount, **trainer.step_scores())


def fit(trainer: Trainer, progress: Progress = SILENT) -> Classifier:
    """Train to the end and return the classifier.

    The caller starts `progress`; it advances by every image trained on.

    Raises:
        TrainingError: the loss is not finite.
    """
    for _ in train_epochs(trainer, progress):
        pass
    return trainer.finish()


def train_epochs(
    trainer: Trainer, progress: Progress = SILENT, stop: Callable[[], bool] = lambda: False
) -> Iterator[EpochRecord]:
    """Train and yield the metrics of each epoch.

    Args:
        trainer: trained to its end, unless the caller stops between two epochs.
        progress: as for `fit`.
        stop: called after every step; True ends the training in mid-epoch.

    Raises:
        TrainingError: the loss is not finite.
    """
    while not trainer.done:
        while trainer.state.step < trainer.loader.steps_per_epoch:
            show_progress(progress, trainer, trainer.step())
            if stop():
                return
        yield trainer.end_epoch()

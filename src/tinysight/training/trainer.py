"""Training loop: trains a network step by step.

A trainer can be saved to a checkpoint between any two steps and restored bit for bit.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight.data.dataset import Dataset, Part
from tinysight.data.pixels import portions
from tinysight.errors import TrainingError
from tinysight.models.abstention import choose_threshold
from tinysight.models.classifier import Classifier, batch_size, overrated
from tinysight.models.fast import Whitening
from tinysight.models.registry import build
from tinysight.progress import Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import Epoch
from tinysight.training import optimisers
from tinysight.training.clock import Clock
from tinysight.training.device import Device
from tinysight.training.early_stopping import Watch
from tinysight.training.feed import Feed
from tinysight.training.images import Images, normalisation_for
from tinysight.training.precision import Precision, autocast
from tinysight.training.randomness import derive
from tinysight.training.temperature import fit_temperature
from tinysight.training.workers.group import ALONE, Workers
from tinysight.training.workers.joint import JointStep

WHITENED = 5000 * 32**2  # pixels to fit the whitening stem on: ample for its few dozen directions


@dataclass
class Position:
    """Progress within training: finished epochs, steps of the current epoch, and its sums so far.

    Attributes:
        epoch: finished epochs.
        step: steps of the current epoch.
        seen: images trained on in the current epoch.
        loss: sum of their losses.
        correct: number of correct predictions among them.
        seconds: time spent on these steps.
    """

    epoch: int = 0
    step: int = 0
    seen: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network by one recipe; every random number depends only on the seed and the position.

    With a time budget, training ends when the time is over and schedules depend on the time instead of the epochs.

    In distributed training each worker has its own trainer and makes the same calls in the same order. Steps,
    validation and the time are synchronized; `checkpoint` and `restore` are local.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        images: Images,
        seed: int,
        precision: Precision,
        device: Device = "cpu",
        workers: Workers = ALONE,
    ) -> None:
        self.recipe, self.images, self.seed, self.precision, self.device = recipe, images, seed, precision, device
        self.workers = workers
        torch.manual_seed(derive(seed, "weights"))
        normalisation = normalisation_for(recipe, images)
        self.feed = Feed(images, recipe, normalisation, seed, device)
        self.network = build(recipe.model, len(dataset.class_names), recipe.data.image_size)
        if isinstance(stem := self.network[0], Whitening):
            stem.fit(self.feed.plain(WHITENED // recipe.data.image_size**2))
        # The signs of the stem's eigenvectors may differ between machines.
        self.network.load_state_dict(workers.of_first(self.network.state_dict))
        self.network.to(device)
        self.joint = JointStep(workers, self.network, recipe.training)
        self.classifier = Classifier(
            recipe.model,
            self.network,
            dataset.class_names,
            recipe.data.image_size,
            normalisation,
            tta_shift=1 if recipe.augmentation.crop_padding else 0,
            remarks=dataset.remarks,
            looks=dataset.looks,
        )
        self.optimiser = optimisers.build(self.network.parameters(), recipe.optimiser, precision)
        self.watch = Watch(recipe.early_stopping) if recipe.early_stopping else None
        self.position = Position()
        self.clock = Clock(recipe.training.epochs * self.feed.steps)
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    def end_in(self, seconds: float) -> None:
        """Train for `seconds`, including final validation and calibration."""
        self.clock = Clock(self.clock.steps, seconds)
        precisions: list[Precision] = [self.precision, "fp32"]
        for precision in precisions:
            self._estimate_validation_seconds(precision)  # torch prepares each shape once; keep that out of the timing
        validation, fp32_validation = (self._estimate_validation_seconds(precision) for precision in precisions)
        calibration = fp32_validation + (validation if self._checks_bf16 else 0)
        self.clock.look, self.clock.closing = validation, validation + calibration

    @property
    def done(self) -> bool:
        """Whether training is complete; never before the first epoch ends or in mid-epoch."""
        between_epochs = bool(self.history) and self.position.step == 0
        return between_epochs and (self.progress == 1 or (self.watch is not None and self.watch.over))

    @property
    def progress(self) -> float:
        """Fraction of the training that is done, 0..1; with a time budget, as the main worker measures it."""
        progress = self.clock.progress(self.position.epoch * self.feed.steps + self.position.step)
        return progress if self.clock.limit is None else self.workers.of_first(lambda: progress)

    def step(self) -> int:
        """Train on the next batch of this epoch and return its number of images."""
        start, position, training = time.perf_counter(), self.position, self.recipe.training
        images, labels = self.feed.batch(position.epoch, position.step)
        self._seed_dropout()
        self.network.train()
        # A dataset smaller than a batch gets a smaller gradient, since the learning rates suit full batches.
        size = training.batch_size if training.drop_last else len(labels)
        sums = [self._backward(images[part], labels[part], size) for part in self.joint.begin(len(labels))]
        loss, correct = self.joint.end([sum(column) for column in zip((0.0, 0), *sums, strict=True)])
        position.loss, position.correct = position.loss + self._finite(loss), position.correct + int(correct)
        self.optimiser.step(self.share)
        self.optimiser.zero_grad()
        position.seen, position.step = position.seen + len(labels), position.step + 1
        position.seconds += time.perf_counter() - start
        return len(labels)

    @property
    def share(self) -> float:
        """Current factor of the learning-rate schedule, 0..1."""
        return 1.0 if self.recipe.optimiser.schedule == "constant" else 1 - self.progress

    def end_epoch(self) -> Epoch:
        """Validate, record the epoch's metrics and move to the next epoch."""
        position = self.position
        start = time.perf_counter()
        val_loss, val_accuracy = self._validate()
        self.clock.looked(time.perf_counter() - start)
        epoch = Epoch(
            epoch=position.epoch + 1,
            seconds=position.seconds,
            images_per_second=position.seen / position.seconds,
            loss=position.loss / position.seen,
            accuracy=position.correct / position.seen,
            val_loss=self._finite(val_loss),
            val_accuracy=val_accuracy,
            lr=self.recipe.optimiser.learning_rate * self.share,
        )
        self.history.append(epoch)
        self.position = Position(epoch=position.epoch + 1)
        if self.watch and self.watch.see(epoch) and self.watch.config.restore_best:
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return epoch

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy of the weights that `finish` keeps, or None if not measured."""
        if self.history and self.watch and self.watch.config.restore_best:
            return self.history[self.watch.best_epoch - 1].val_accuracy
        in_mid_epoch = self.position.step > 0
        return self.history[-1].val_accuracy if self.history and not in_mid_epoch else None

    def finish(self) -> Classifier:
        """Return the classifier, with the best weights if the recipe restores them."""
        if self.best:
            self.network.load_state_dict(self.best)
        return self.classifier

    def calibrate(self, classifier: Classifier) -> Classifier:
        """Return `classifier` with the temperature, threshold and bf16 margin fitted on the validation images."""
        logits, labels = self._predict_logits(self.images.validation, "fp32")
        temperature, doubt = fit_temperature(logits, labels), None
        confidences, predictions = (logits / temperature).softmax(1).max(1)
        rule = choose_threshold(confidences.numpy(), (predictions == labels).numpy(), self.recipe.training.wanted_error)
        if self._checks_bf16:
            bf16_logits, _ = self._predict_logits(self.images.validation, "bf16")
            doubt = overrated(bf16_logits, logits)
        return replace(classifier, temperature=temperature, unsure_below=rule.threshold, doubt=doubt)

    def checkpoint(self) -> Checkpoint:
        """Return the state needed to resume.

        Raises:
            TrainingError: the weights are not finite.
        """
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            raise self._diverged("the weights are not finite")
        groups = {"network": self.network.state_dict(), "optimiser": self.optimiser.state(), "best": self.best}
        tensors = {f"{group}/{name}": t for group, members in groups.items() for name, t in members.items()}
        watch = self.watch and {"best": self.watch.best, "epoch": self.watch.best_epoch, "waited": self.watch.waited}
        state = {
            "position": asdict(self.position),
            "optimiser_steps": self.optimiser.steps,
            "history": [epoch.model_dump() for epoch in self.history],
            "watch": watch if self.history else None,
            "clock": self.clock.state(),
        }
        return Checkpoint(tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "optimiser": {}, "best": {}}
        for key, tensor in checkpoint.tensors.items():
            group, name = key.split("/", 1)
            groups[group][name] = tensor
        state = checkpoint.state
        self.network.load_state_dict(groups["network"])
        self.optimiser.load_state(groups["optimiser"], state["optimiser_steps"])
        self.best = groups["best"]
        self.position = Position(**state["position"])
        self.history = [Epoch.model_validate(epoch) for epoch in state["history"]]
        self.clock = Clock(self.clock.steps, **state["clock"])
        if self.watch and state["watch"]:
            watch = state["watch"]
            self.watch = Watch(self.watch.config, watch["best"], watch["epoch"], watch["waited"])

    @property
    def _checks_bf16(self) -> bool:
        """Whether the classifier will predict in bfloat16 where its margin is large enough."""
        return self.precision == "bf16" and self.device == "cpu"

    def _seed_dropout(self) -> None:
        rank = () if self.workers.first else (self.workers.rank,)  # a different dropout mask on every worker
        seed = derive(self.seed, "dropout", self.position.epoch, self.position.step, *rank)
        # `torch.manual_seed` seeds every kind of device, which takes 2 % of a step of the smallest network.
        if self.device == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.cuda.manual_seed(seed)

    def _backward(self, images: Tensor, labels: Tensor, size: int) -> tuple[float, int]:
        """Accumulate the gradients of the loss sum over `size`; return the loss sum and the number correct."""
        with autocast(self.precision, self.device):
            logits = self.network(images).float()
        smoothing = self.recipe.training.label_smoothing
        loss = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
        (loss / size).backward()
        return loss.item(), int((logits.argmax(1) == labels).sum())

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean loss and accuracy on the validation images."""
        logits, labels = self._predict_logits(self.images.validation, self.precision)
        return float(F.cross_entropy(logits, labels)), int((logits.argmax(1) == labels).sum()) / len(labels)

    @torch.inference_mode()
    def _predict_logits(self, split: Part, precision: Precision) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) of the current weights, and labels (n,); each worker predicts its slice."""
        self.network.eval()
        logits, own = torch.zeros(len(split), len(self.classifier.class_names)), self.workers.own(len(split))
        size = batch_size(self.recipe.data.image_size)
        for pixels, output in zip(portions(split.pixels[own], size), logits[own].split(size), strict=False):
            images = torch.from_numpy(pixels).to(self.device).float().contiguous(memory_format=torch.channels_last)
            with autocast(precision, self.device):
                output.copy_(self.network(self.classifier.normalisation(images)).float())
        self.workers.sum([logits])
        return logits, torch.from_numpy(split.labels)

    def _estimate_validation_seconds(self, precision: Precision) -> float:
        """Return the estimated seconds of a validation, extrapolated from one batch."""
        validation, start = self.images.validation, time.perf_counter()
        count = batch_size(self.recipe.data.image_size)
        sample = Part(validation.pixels[:count], validation.labels[:count])
        self._predict_logits(sample, precision)
        return (time.perf_counter() - start) * len(validation) / len(sample)

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return loss

    def _diverged(self, problem: str) -> TrainingError:
        return TrainingError(
            f"training diverged: {problem} in epoch {self.position.epoch + 1}, step {self.position.step + 1}. "
            f"Try a smaller optimiser.learning_rate than {self.recipe.optimiser.learning_rate:g}."
        )


def show(progress: Progress, position: Position, amount: int) -> None:
    """Advance the progress by `amount` images and show the epoch's loss and accuracy so far."""
    progress.advance(amount, loss=position.loss / position.seen, accuracy=position.correct / position.seen)

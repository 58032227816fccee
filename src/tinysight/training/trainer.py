"""The loop: a network, an optimiser and images become a trained network, one step at a time.

A trainer can be put into a checkpoint between any two steps and taken out again, bit for bit.
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

WHITENED = 5000 * 32**2  # pixels that the whitening stem learns from: more than enough for its few dozen directions


@dataclass
class Position:
    """Where training stands: finished epochs, steps into the next one, and that epoch's sums so far."""

    epoch: int = 0
    step: int = 0
    seen: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network by one recipe; every random number follows from the seed and the position.

    Given a time, it is done when that is over, and schedules go by it instead of by epochs.

    Several workers have a trainer each, ask them for the same things in the same order, and get the same: steps, looks
    and the time are shared. To restore, and to make a checkpoint, each does alone.
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
        # Another machine may find the stem's directions with other signs.
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
        """Be done so long from now, whatever number of epochs that is, and with all that follows the last of them."""
        self.clock = Clock(self.clock.steps, seconds)
        kinds: list[Precision] = [self.precision, "fp32"]
        for kind in kinds:
            self._look_at_few(kind)  # what torch does once a shape must not be counted for every image
        look, exact = (self._look_at_few(kind) for kind in kinds)
        calibration = exact + (look if self._checks_bf16 else 0)
        self.clock.look, self.clock.closing = look, look + calibration

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train: there is some training, and an epoch that was begun has an end."""
        between_epochs = bool(self.history) and self.position.step == 0
        return between_epochs and (self.progress == 1 or (self.watch is not None and self.watch.over))

    @property
    def progress(self) -> float:
        """How much of the training is done, 0..1; of time, what the first worker says."""
        done = self.position.epoch * self.feed.steps + self.position.step
        here = self.clock.progress(done)
        return here if self.clock.limit is None else self.workers.of_first(lambda: here)

    def step(self) -> int:
        """Learn from the next batch of this epoch and return how many images it had."""
        start, at, training = time.perf_counter(), self.position, self.recipe.training
        images, labels = self.feed.batch(at.epoch, at.step)
        self._seed_dropout()
        self.network.train()
        # Too few images for one batch weigh less, so that rates made for whole batches do not throw the weights about.
        size = training.batch_size if training.drop_last else len(labels)
        found = [self._learn(images[part], labels[part], size) for part in self.joint.begin(len(labels))]
        loss, correct = self.joint.end([sum(figures) for figures in zip((0.0, 0), *found, strict=True)])
        at.loss, at.correct = at.loss + self._finite(loss), at.correct + int(correct)
        self.optimiser.step(self.share)
        self.optimiser.zero_grad()
        at.seen, at.step = at.seen + len(labels), at.step + 1
        at.seconds += time.perf_counter() - start
        return len(labels)

    @property
    def share(self) -> float:
        """The share of the learning rates that the recipe's schedule leaves now."""
        return 1.0 if self.recipe.optimiser.schedule == "constant" else 1 - self.progress

    def end_epoch(self) -> Epoch:
        """Hold the network against the validation images and go on to the next epoch."""
        at = self.position
        start = time.perf_counter()
        val_loss, val_accuracy = self._validate()
        self.clock.looked(time.perf_counter() - start)
        epoch = Epoch(
            epoch=at.epoch + 1,
            seconds=at.seconds,
            images_per_second=at.seen / at.seconds,
            loss=at.loss / at.seen,
            accuracy=at.correct / at.seen,
            val_loss=self._finite(val_loss),
            val_accuracy=val_accuracy,
            lr=self.recipe.optimiser.learning_rate * self.share,
        )
        self.history.append(epoch)
        self.position = Position(epoch=at.epoch + 1)
        if self.watch and self.watch.see(epoch) and self.watch.config.restore_best:
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return epoch

    @property
    def val_accuracy(self) -> float | None:
        """The validation accuracy of the weights that `finish` keeps, or None where nobody measured it."""
        if self.history and self.watch and self.watch.config.restore_best:
            return self.history[self.watch.best_epoch - 1].val_accuracy
        in_mid_epoch = self.position.step > 0
        return self.history[-1].val_accuracy if self.history and not in_mid_epoch else None

    def finish(self) -> Classifier:
        """Return the trained classifier, with the best weights if the recipe asks for them."""
        if self.best:
            self.network.load_state_dict(self.best)
        return self.classifier

    def calibrate(self, classifier: Classifier) -> Classifier:
        """Return `classifier` with what the validation images tell: temperature, threshold and doubt in bfloat16."""
        logits, labels = self._look(self.images.validation, "fp32")
        temperature, doubt = fit_temperature(logits, labels), None
        confidences, answers = (logits / temperature).softmax(1).max(1)
        rule = choose_threshold(confidences.numpy(), (answers == labels).numpy(), self.recipe.training.wanted_error)
        if self._checks_bf16:
            rough, _ = self._look(self.images.validation, "bf16")
            doubt = overrated(rough, logits)
        return replace(classifier, temperature=temperature, unsure_below=rule.threshold, doubt=doubt)

    def checkpoint(self) -> Checkpoint:
        """Return all that is needed to go on from here.

        Raises:
            TrainingError: the weights are not finite any more, so there is nothing to go on with.
        """
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            raise self._diverged("weights are not finite any more")
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
        """Go back to where `checkpoint` was taken."""
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
        """Whether predictions are to be in bfloat16 where they are clear in it."""
        return self.precision == "bf16" and self.device == "cpu"

    def _seed_dropout(self) -> None:
        other = () if self.workers.first else (self.workers.rank,)  # every worker drops activations of its own
        seed = derive(self.seed, "dropout", self.position.epoch, self.position.step, *other)
        # Not `torch.manual_seed`, which looks for every kind of device: a fiftieth of a step of the smallest network.
        if self.device == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.cuda.manual_seed(seed)

    def _learn(self, images: Tensor, labels: Tensor, size: int) -> tuple[float, int]:
        """Add the gradients of images, of which `size` weigh 1; return their summed loss and how many were right."""
        with autocast(self.precision, self.device):
            logits = self.network(images).float()
        smoothing = self.recipe.training.label_smoothing
        loss = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
        (loss / size).backward()
        return loss.item(), int((logits.argmax(1) == labels).sum())

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean loss and accuracy on the validation images."""
        logits, labels = self._look(self.images.validation, self.precision)
        return float(F.cross_entropy(logits, labels)), int((logits.argmax(1) == labels).sum()) / len(labels)

    @torch.inference_mode()
    def _look(self, part: Part, precision: Precision) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) of the network as it is, and labels (n,); every worker looks at its share."""
        self.network.eval()
        logits, own = torch.zeros(len(part), len(self.classifier.class_names)), self.workers.own(len(part))
        size = batch_size(self.recipe.data.image_size)
        for pixels, place in zip(portions(part.pixels[own], size), logits[own].split(size), strict=False):
            images = torch.from_numpy(pixels).to(self.device).float().contiguous(memory_format=torch.channels_last)
            with autocast(precision, self.device):
                place.copy_(self.network(self.classifier.normalisation(images)).float())
        self.workers.sum([logits])
        return logits, torch.from_numpy(part.labels)

    def _look_at_few(self, precision: Precision) -> float:
        """Return about how many seconds a look at all validation images takes."""
        validation, start = self.images.validation, time.perf_counter()
        count = batch_size(self.recipe.data.image_size)
        few = Part(validation.pixels[:count], validation.labels[:count])
        self._look(few, precision)
        return (time.perf_counter() - start) * len(validation) / len(few)

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise self._diverged(f"loss became {loss}")
        return loss

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"The {what} in epoch {self.position.epoch + 1}, step {self.position.step + 1}: training diverged; "
            f"try a smaller optimiser.learning_rate than {self.recipe.optimiser.learning_rate:g}."
        )


def show(progress: Progress, position: Position, amount: int) -> None:
    """Advance the epoch's progress by `amount` images, with loss and accuracy so far."""
    progress.advance(amount, loss=position.loss / position.seen, accuracy=position.correct / position.seen)

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

from tinysight.data.dataset import Dataset
from tinysight.errors import TrainingError
from tinysight.models.classifier import Classifier, Normalisation, batch_size
from tinysight.models.registry import build
from tinysight.progress import Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import Epoch
from tinysight.training import optimisers
from tinysight.training.early_stopping import Watch
from tinysight.training.feed import Feed
from tinysight.training.images import Images
from tinysight.training.precision import Precision, autocast
from tinysight.training.randomness import derive
from tinysight.training.temperature import fit_temperature


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
    """Trains one network by one recipe; every random number follows from the seed and the position."""

    def __init__(self, recipe: Recipe, dataset: Dataset, images: Images, seed: int, precision: Precision) -> None:
        self.recipe, self.images, self.seed, self.precision = recipe, images, seed, precision
        torch.manual_seed(derive(seed, "weights"))
        name, size = recipe.model.architecture, recipe.data.image_size
        network = build(name, len(dataset.class_names), size)
        self.classifier = Classifier(name, network, dataset.class_names, size, Normalisation(), remarks=dataset.remarks)
        self.network = network
        self.optimiser = optimisers.build(network.parameters(), recipe.optimiser)
        self.feed = Feed(images, recipe, self.classifier.normalisation, seed)
        self.watch = Watch(recipe.early_stopping) if recipe.early_stopping else None
        self.position = Position()
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.position.epoch >= self.recipe.training.epochs or (self.watch is not None and self.watch.over)

    def step(self) -> int:
        """Learn from the next batch of this epoch and return how many images it had."""
        start, at = time.perf_counter(), self.position
        images, labels = self.feed.batch(at.epoch, at.step)
        # Not `torch.manual_seed`, which also looks for accelerators: a fiftieth of a step of the smallest network.
        torch.default_generator.manual_seed(derive(self.seed, "dropout", at.epoch, at.step))
        self.network.train()
        with autocast(self.precision):
            logits = self.network(images).float()
        loss = F.cross_entropy(logits, labels)
        at.loss += self._finite(loss.item()) * len(labels)
        at.correct += int((logits.argmax(1) == labels).sum())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        at.seen, at.step = at.seen + len(labels), at.step + 1
        at.seconds += time.perf_counter() - start
        return len(labels)

    def end_epoch(self) -> Epoch:
        """Hold the network against the validation images and go on to the next epoch."""
        at = self.position
        val_loss, val_accuracy = self._validate()
        epoch = Epoch(
            epoch=at.epoch + 1,
            seconds=at.seconds,
            images_per_second=at.seen / at.seconds,
            loss=at.loss / at.seen,
            accuracy=at.correct / at.seen,
            val_loss=self._finite(val_loss),
            val_accuracy=val_accuracy,
            lr=self.recipe.optimiser.learning_rate,
        )
        self.history.append(epoch)
        self.position = Position(epoch=at.epoch + 1)
        if self.watch and self.watch.see(epoch) and self.watch.config.restore_best:
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return epoch

    def finish(self) -> Classifier:
        """Return the trained classifier, with the best weights if the recipe asks for them."""
        if self.best:
            self.network.load_state_dict(self.best)
        return self.classifier

    def calibrate(self, classifier: Classifier) -> Classifier:
        """Return `classifier` with the temperature that fits the validation images."""
        logits, labels = classifier.logits(self.images.validation.pixels), self.images.validation.labels
        return replace(classifier, temperature=fit_temperature(logits, torch.from_numpy(labels)))

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
        if self.watch and state["watch"]:
            watch = state["watch"]
            self.watch = Watch(self.watch.config, watch["best"], watch["epoch"], watch["waited"])

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Return mean loss and accuracy on the validation images."""
        self.network.eval()
        validation, loss, correct = self.images.validation, 0.0, 0
        size = batch_size(self.recipe.data.image_size)
        parts = (torch.from_numpy(part).split(size) for part in (validation.pixels, validation.labels))
        for pixels, labels in zip(*parts, strict=True):
            images = self.classifier.normalisation(pixels.float().contiguous(memory_format=torch.channels_last))
            with autocast(self.precision):
                logits = self.network(images).float()
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            correct += int((logits.argmax(1) == labels).sum())
        return loss / len(validation), correct / len(validation)

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

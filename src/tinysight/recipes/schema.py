"""What a recipe may say, and what it means. Every value has a default, a unit where it needs one, and bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.augmentation.config import Augmentation
from tinysight.ranges import Between, Near, OneOf, Times
from tinysight.recipes.layers import Layer

Share = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=8, le=4096)]

_RMSPROP, _ADAM, _MUON = (("optimiser.name", name) for name in ("rmsprop", "adam", "muon"))


class Section(BaseModel):
    """A table of the recipe: no unknown keys, no guessed types, no changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Data(Section):
    """Which images are learned from, and which are held back to choose by."""

    image_size: int = Field(32, ge=8, le=512, description="height and width, pixels; others are resized to it")
    split: Literal["stratified", "last-20%", "first-10000"] = Field(
        "stratified", description="how the validation images are cut from the training images"
    )
    validation: float = Field(0.1, gt=0, lt=0.9, description="their share, for a stratified split")
    exclude: str | None = Field(
        None, description="a CSV file whose column `image` names training images that are neither learned from nor kept"
    )
    normalisation: Literal["scale", "standardise", "none"] = Field(
        "scale",
        description="to 0..1; to mean 0 and standard deviation 1 of the training images, channel by channel; or none, "
        "for a network that rescales by itself",
    )


class Model(Section):
    """Which network."""

    architecture: Literal["simple", "deep", "strided", "early-stopping", "fast", "layers"] = "simple"
    stem: Literal["fine", "coarse"] | None = Field(
        None, description="fast: whether the first layer looks at every place, or at every second row and column"
    )
    widths: list[Width] | None = Field(
        None,
        min_length=1,
        max_length=5,
        description="fast: channels of each group of convolutions; stem and widths are chosen by the time if left out",
    )

    layers: list[Layer] | None = Field(
        None, min_length=1, max_length=1000, description="layers: the network, one layer after the other"
    )

    @model_validator(mode="after")
    def _layers_are_for_layers(self) -> Self:
        if (self.architecture == "layers") != (self.layers is not None):
            raise ValueError("architecture layers and a list of layers go together; give both or neither")
        return self

    @model_validator(mode="after")
    def _stem_and_widths_go_together(self) -> Self:
        if (self.stem is None) != (self.widths is None):
            raise ValueError("stem and widths go together; give both, or leave both to the time there is")
        if self.architecture != "fast" and self.stem is not None:
            raise ValueError(f"stem and widths are for architecture fast, not {self.architecture}; leave them out")
        return self

    @property
    def is_open(self) -> bool:
        """Whether the network is left to the time there is."""
        return self.architecture == "fast" and self.widths is None


class Optimiser(Section):
    """How weights follow gradients; what is for rmsprop and adam has the meaning and the defaults of Keras."""

    name: Literal["rmsprop", "adam", "muon"] = "rmsprop"
    learning_rate: Annotated[float, Near(4)] = Field(
        0.001, gt=0, le=100, description="muon: of the filters of convolutions"
    )
    schedule: Annotated[Literal["constant", "linear"], OneOf(("constant", "linear"))] = Field(
        "constant", description="linear: every rate falls to nothing by the end of the training"
    )
    rho: Annotated[Share, Between(0.8, 0.99, when=_RMSPROP)] = Field(
        0.9, description="rmsprop: memory of squared gradients"
    )
    beta_1: Annotated[Share, Between(0.8, 0.98, when=_ADAM)] = Field(0.9, description="adam: memory of gradients")
    beta_2: Share = Field(0.999, description="adam: memory of squared gradients")
    epsilon: float = Field(1e-7, gt=0, le=1, description="keeps the division finite")
    filter_momentum: Annotated[Share, Between(0.3, 0.9, when=_MUON)] = Field(
        0.6, description="muon: what is left of the filters' momentum after a step"
    )
    # Both rates are .053 and .67 times 500 images, since the loss is averaged over a batch: airbench94_muon sums it.
    bias_learning_rate: Annotated[float, Near(4, when=_MUON)] = Field(
        26.0, gt=0, le=10_000, description="muon: of biases"
    )
    head_learning_rate: Annotated[float, Near(4, when=_MUON)] = Field(
        335.0, gt=0, le=10_000, description="muon: of the last layer"
    )
    momentum: Annotated[Share, Between(0.6, 0.95, when=_MUON)] = Field(
        0.85, description="muon: the same of biases and the last layer"
    )
    weight_decay: Annotated[float, Between(0, 0.004, when=_MUON)] = Field(
        0.0, ge=0, le=1, description="muon: share of biases and last layer lost in a step, but for momentum"
    )

    @model_validator(mode="after")
    def _what_is_for_muon_is_used_by_muon(self) -> Self:
        for key in ("filter_momentum", "bias_learning_rate", "head_learning_rate", "momentum", "weight_decay"):
            if self.name != "muon" and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is for the optimiser muon, and {self.name} has no use for it; leave it out")
        return self


class EarlyStopping(Section):
    """When to stop before the last epoch, with Keras' meaning."""

    monitor: Literal["loss", "accuracy", "val_loss", "val_accuracy"] = "val_loss"
    patience: int = Field(0, ge=0, description="epochs without improvement that are borne")
    min_delta: float = Field(0.0, ge=0, description="what counts as an improvement")
    restore_best: bool = Field(False, description="end with the weights of the best epoch")


class Training(Section):
    """How long, and in which portions."""

    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training images, at most")
    minutes: float | None = Field(
        None, gt=0, le=100_000, description="time from the start of the command to its end, in place of epochs"
    )
    batch_size: Annotated[int, Times((0.5, 1, 2))] = Field(128, ge=1, le=1_000_000, description="images a step")
    ghost_batch_size: int | None = Field(
        None, ge=1, le=1_000_000, description="images that go through the network at once, at least, and are normalised"
    )
    drop_last: bool = Field(False, description="leave out the images at the end of an epoch that do not fill a batch")
    label_smoothing: Annotated[Share, Between(0, 0.3)] = Field(
        0.0, description="share of the truth that is given to all classes alike"
    )
    wanted_error: float = Field(
        0.05, gt=0, lt=1, description="share of answers that may be wrong, among those that are not 'unsure'"
    )


class Recipe(Section):
    """How to train: data split, augmentation, model, optimiser, length."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9.-]*$", description="lower case, digits, dashes")
    description: str = ""
    data: Data = Data()
    augmentation: Augmentation = Augmentation()
    model: Model = Model()
    optimiser: Optimiser = Optimiser()
    training: Training = Training()
    early_stopping: EarlyStopping | None = None

    def excluding(self, path: Path) -> Self:
        """Return the recipe that leaves out the images that the list at `path` names."""
        return self.model_copy(update={"data": self.data.model_copy(update={"exclude": str(path)})})

    @model_validator(mode="after")
    def _muon_suits_the_network(self) -> Self:
        if self.optimiser.name == "muon" and self.model.architecture != "fast":
            raise ValueError(
                f"optimiser.name is 'muon', whose rates are made for architecture fast, not {self.model.architecture}; "
                "take rmsprop or adam"
            )
        return self

    @model_validator(mode="after")
    def _crop_padding_fits_into_the_image(self) -> Self:
        padding, size = self.augmentation.crop_padding, self.data.image_size
        if padding >= size:
            raise ValueError(
                f"augmentation.crop_padding is {padding}, but it must be smaller than data.image_size, which is "
                f"{size}; choose at most {size - 1}"
            )
        return self


SECTIONS: dict[str, type[BaseModel]] = {
    "data": Data,
    "augmentation": Augmentation,
    "model": Model,
    "optimiser": Optimiser,
    "training": Training,
    "early_stopping": EarlyStopping,
}

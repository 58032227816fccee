"""What a recipe may say, and what it means. Every value has a default, a unit where it needs one, and bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.augmentation.config import Augmentation

Share = Annotated[float, Field(ge=0, lt=1)]


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


class Model(Section):
    """Which network."""

    architecture: Literal["simple", "deep", "strided", "early-stopping"] = "simple"


class Optimiser(Section):
    """How weights follow gradients; the meaning and defaults of every value are those of Keras."""

    name: Literal["rmsprop", "adam"] = "rmsprop"
    learning_rate: float = Field(0.001, gt=0, le=100)
    rho: Share = Field(0.9, description="rmsprop: memory of squared gradients")
    beta_1: Share = Field(0.9, description="adam: memory of gradients")
    beta_2: Share = Field(0.999, description="adam: memory of squared gradients")
    epsilon: float = Field(1e-7, gt=0, le=1, description="keeps the division finite")


class EarlyStopping(Section):
    """When to stop before the last epoch, with Keras' meaning."""

    monitor: Literal["loss", "accuracy", "val_loss", "val_accuracy"] = "val_loss"
    patience: int = Field(0, ge=0, description="epochs without improvement that are borne")
    min_delta: float = Field(0.0, ge=0, description="what counts as an improvement")
    restore_best: bool = Field(False, description="end with the weights of the best epoch")


class Training(Section):
    """How long, and in which portions."""

    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training images, at most")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="images a step")


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

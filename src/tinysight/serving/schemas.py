"""JSON schemas of the HTTP API's responses."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tinysight.data.labels import Task


class TopClass(BaseModel):
    """A class and its predicted probability."""

    name: str = Field(examples=["cat"])
    index: int = Field(examples=[3])
    probability: float = Field(examples=[0.93])


class NeighborImage(BaseModel):
    """A training image that is near in the classifier's feature space."""

    label: str = Field(examples=["cat"])
    image: str = Field(description="a PNG as a data URL")


class ExplanationResponse(BaseModel):
    """Occlusion map of a prediction, and the nearest training images."""

    occlusion_map: list[list[float]] = Field(
        description="occlusion map over the classified image, 0..1, one value per pixel"
    )
    image: str = Field(description="the classified image, resized for the network: a PNG as a data URL")
    neighbors: list[NeighborImage]


_UNLIKE = "whether the image is unlike the training images, which makes the prediction unreliable; null if not known"


class PredictResponse(BaseModel):
    """The prediction for one image."""

    top: list[TopClass]
    unsure: bool = Field(description="whether the highest probability is below the abstention threshold")
    prediction_set: list[str] | None = Field(
        description="the classes of the 95% prediction set, most probable first; null if it was not calibrated",
        examples=[["cat"]],
    )
    unlike_training: bool | None = Field(description=_UNLIKE)
    explanation: ExplanationResponse | None = None


class LabelsResponse(BaseModel):
    """The prediction for one image that may have several labels."""

    labels: list[TopClass] = Field(description="the labels that the image gets, most probable first; may be empty")
    top: list[TopClass] = Field(description="the most probable labels, whether or not the image gets them")
    unlike_training: bool | None = Field(description=_UNLIKE)


class ModelInfo(BaseModel):
    """Description of the served classifier."""

    recipe: str
    dataset: str
    task: Task = Field(description="multi-label: an image may have several labels or none")
    classes: list[str]
    image_size: int
    abstain_below: float
    set_threshold: float | None = Field(description="probability from which a class is in the prediction set")
    thresholds: list[float] = Field(description="multi-label: the probability from which an image gets each label")
    accuracy: float | None = Field(description="fraction of correct predictions, 0..1; null if not measured")
    accuracy_ci95: tuple[float, float] | None = Field(description="95% confidence interval of the accuracy")
    mean_average_precision: float | None = Field(description="multi-label: mAP, 0..1; null if not measured")
    evaluated_on: str | None = Field(description="images of the accuracy", examples=["10,000 test images"])
    notes: list[str]
    not_for: list[str]


class ErrorResponse(BaseModel):
    """The body of an error response."""

    reason: str = Field(examples=["Image: empty file. Get a new copy or remove it."])


class Readiness(BaseModel):
    """Whether the process accepts another request."""

    ready: bool

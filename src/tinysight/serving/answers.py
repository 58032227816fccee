"""JSON schemas of the HTTP API's responses."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Choice(BaseModel):
    """A class and its predicted probability."""

    name: str = Field(examples=["cat"])
    index: int = Field(examples=[3])
    probability: float = Field(examples=[0.93])


class Neighbour(BaseModel):
    """A training image that is near in the classifier's feature space."""

    label: str = Field(examples=["cat"])
    picture: str = Field(description="a PNG as a data URL")


class Explanation(BaseModel):
    """Occlusion map of a prediction, and the nearest training images."""

    heat: list[list[float]] = Field(description="occlusion map over the classified image, 0..1, one value per pixel")
    picture: str = Field(description="the classified image, resized for the network: a PNG as a data URL")
    neighbours: list[Neighbour]


class Answer(BaseModel):
    """The prediction for one image."""

    top: list[Choice]
    unsure: bool = Field(description="whether the highest probability is below the abstention threshold")
    explanation: Explanation | None = None


class ModelFacts(BaseModel):
    """Description of the served classifier."""

    recipe: str
    dataset: str
    classes: list[str]
    image_size: int
    unsure_below: float
    accuracy: float | None = Field(description="on the test images; null if not measured")
    remarks: list[str]
    not_for: list[str]


class Problem(BaseModel):
    """The body of an error response."""

    reason: str = Field(examples=["Image: empty file. Get a new copy or remove it."])

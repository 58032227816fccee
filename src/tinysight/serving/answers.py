"""What the server answers, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Choice(BaseModel):
    """A class that the picture may show."""

    name: str = Field(examples=["cat"])
    index: int = Field(examples=[3])
    probability: float = Field(examples=[0.93])


class Neighbour(BaseModel):
    """A training image that looks alike to the classifier."""

    label: str = Field(examples=["cat"])
    picture: str = Field(description="a PNG as a data URL")


class Explanation(BaseModel):
    """Why: where in the picture, and what alike it has learned from."""

    heat: list[list[float]] = Field(description="of each place of the picture as the classifier sees it, 0..1")
    picture: str = Field(description="the picture as the classifier sees it: a PNG as a data URL")
    neighbours: list[Neighbour]


class Answer(BaseModel):
    """What is said of a picture."""

    top: list[Choice]
    unsure: bool = Field(description="whether the first choice is too unlikely to be an answer")
    explanation: Explanation | None = None


class ModelFacts(BaseModel):
    """What a user must know of the classifier."""

    recipe: str
    dataset: str
    classes: list[str]
    image_size: int
    unsure_below: float
    accuracy: float | None = Field(description="on test images; null if nobody measured it")
    remarks: list[str]
    not_for: list[str]


class Problem(BaseModel):
    """Why there is no answer."""

    reason: str = Field(examples=["Image: empty file. Get a new copy or remove it."])

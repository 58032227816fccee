"""One-line description of augmentation settings."""

from __future__ import annotations

from tinysight.augmentation.config import Augmentation


def describe(config: Augmentation) -> str:
    """Describe the active settings of `config` in one line.

    >>> describe(Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, horizontal_flip=True))
    'rotation ±40°, shift ±0.2, flip, fill nearest'
    """
    return ", ".join([*_geometry(config), *_color(config), *_cutout(config)]) or "none"


def _geometry(config: Augmentation) -> list[str]:
    parts = []
    if config.rotation:
        parts.append(f"rotation ±{config.rotation:g}°")
    parts += _shift(config)
    if config.shear:
        parts.append(f"shear ±{config.shear:g}°")
    if config.zoom:
        parts.append(f"zoom {1 - config.zoom:g} to {1 + config.zoom:g}")
    if config.horizontal_flip:
        parts.append("flip")
    if config.alternating_flip:
        parts.append("alternating flip")
    if config.moves:
        value = f" {config.fill_value:g}" if config.fill == "constant" else ""
        parts.append(f"fill {config.fill}{value}")
    if config.crop_padding:
        parts.append(f"crop ±{config.crop_padding} px")
    return parts


def _shift(config: Augmentation) -> list[str]:
    if config.width_shift == config.height_shift:
        return [f"shift ±{config.width_shift:g}"] if config.width_shift else []
    shifts = {"width": config.width_shift, "height": config.height_shift}
    return [f"{name} shift ±{limit:g}" for name, limit in shifts.items() if limit]


def _color(config: Augmentation) -> list[str]:
    strengths = {
        "brightness": config.brightness,
        "contrast": config.contrast,
        "saturation": config.saturation,
    }
    return [f"{name} ±{strength:g}" for name, strength in strengths.items() if strength]


def _cutout(config: Augmentation) -> list[str]:
    return [f"cutout {config.cutout} px"] if config.cutout else []

"""An augmentation in one line, for logs, recipes and the head of a preview."""

from __future__ import annotations

from tinysight.augmentation.config import Augmentation


def describe(config: Augmentation) -> str:
    """Return what `config` does, in one line.

    >>> describe(Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, horizontal_flip=True))
    'rotation ±40°, shift ±0.2, flip, fill nearest'
    """
    return ", ".join([*_geometry(config), *_colour(config), *_cutout(config)]) or "none"


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
    return [f"{name} shift ±{share:g}" for name, share in shifts.items() if share]


def _colour(config: Augmentation) -> list[str]:
    shares = {
        "brightness": config.brightness,
        "contrast": config.contrast,
        "saturation": config.saturation,
    }
    return [f"{name} ±{share:g}" for name, share in shares.items() if share]


def _cutout(config: Augmentation) -> list[str]:
    return [f"cutout {config.cutout} px"] if config.cutout else []

"""Utilities without knowledge of images: files, locks, platform, hardware, console, errors."""

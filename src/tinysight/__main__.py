"""Entry point of `python -m tinysight`."""

from tinysight.cli import main

main()

"""`python -m tinysight` is the `tinysight` command."""

from tinysight.cli import main

main()

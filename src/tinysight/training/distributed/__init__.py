"""Distributed training: the process group, gradient synchronization and the launchers."""

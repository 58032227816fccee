"""Checks of a classifier and of its images: twins, wrong labels, groups, privacy, forgetting."""

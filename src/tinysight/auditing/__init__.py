"""Audits of a run: near-duplicates, label errors, subgroups, membership inference, unlearning."""

"""Weights & Biases, which reads a run's journals as anyone else would: one tracker process per run, beside the study.

Nothing here is imported by what simulates, and nothing that goes wrong here reaches it (docs/tracking.md).
"""

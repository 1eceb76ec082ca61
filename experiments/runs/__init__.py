"""Runs: their folders, checkpoints, devices and workers, and how they go on."""

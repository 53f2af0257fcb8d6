"""Measurements against the raw tools, as ratios in one run."""

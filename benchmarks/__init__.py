"""Measure what the fleet costs, beside a baseline that runs with it."""

"""The VM API v1: each part translates and lets others decide."""

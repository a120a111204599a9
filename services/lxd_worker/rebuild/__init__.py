"""A rebuild and its revert: an instance gets another root under the same name."""

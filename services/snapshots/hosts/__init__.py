"""The hosts that are known, and what each reports of its plan."""

"""The fleet as hosts tell of it: state by host and instance, and what readers see. No I/O."""

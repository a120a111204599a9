"""The outside world: LXD, the kernel, the clock that starts the rounds."""

"""The live stream: one message at once, then one at every interval."""

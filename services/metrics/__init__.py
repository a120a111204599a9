"""The sampler, one per host: it measures the host and its instances every few seconds."""

"""Measures hosts and instances: the sampler, one per host, publishes a sample every few seconds."""

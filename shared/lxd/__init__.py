"""The one border to LXD and Incus, for the worker, the sampler, set-up and tests."""

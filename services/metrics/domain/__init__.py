"""Pure rules: what the numbers of LXD and of the kernel mean."""

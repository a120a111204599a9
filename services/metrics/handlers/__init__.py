"""What the sampler does, without nameko."""

"""Code that the services share: their contracts, and the platform that they run on."""

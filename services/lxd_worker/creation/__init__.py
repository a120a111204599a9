"""What a host gives to its instances: capacity, ports and images, while there is enough of it."""

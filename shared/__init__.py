"""What the services share: the contracts they speak and the platform they stand on."""

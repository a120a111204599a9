"""The plans of the hosts: which host is to have which, and sending them."""

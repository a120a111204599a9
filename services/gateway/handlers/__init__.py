"""What the gateway does with requests and with what hosts tell it."""

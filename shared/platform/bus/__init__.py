"""The bus: its topology, the RPC of a host's services, events, and the rules of streams."""

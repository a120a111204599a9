"""The snapshots service: keeps policies, gives hosts their plans, and keeps what hosts did."""

"""The gateway's database: hosts, operations, notes on snapshots."""

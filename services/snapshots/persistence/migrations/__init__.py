"""How a database reaches the schema of this release; run at every start of the service."""

"""The outside world: the broker (aio-pika) and the database (SQLAlchemy)."""

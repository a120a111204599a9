"""Prepare a RabbitMQ broker for a fleet."""

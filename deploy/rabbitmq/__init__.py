"""Preparing a RabbitMQ broker for a fleet."""

"""The WebSocket endpoints: monitor, change stream, console."""

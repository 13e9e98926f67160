"""The WebSocket protocol, one module per family of events."""

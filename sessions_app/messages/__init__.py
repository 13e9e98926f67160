"""Messaging in full, the same for stored sessions and for those that travel with the request."""

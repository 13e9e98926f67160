"""The engine: Telegram sessions on threads of their own, behind one façade."""

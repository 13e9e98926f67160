"""Telegram sessions: accounts, keys at rest, login, restore, the lease, hub REST."""

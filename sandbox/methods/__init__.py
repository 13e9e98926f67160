"""The methods of Telegram's API that are served; one module per topic, loaded by the server."""

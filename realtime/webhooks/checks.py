"""System check of what may be posted to."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from core.network import network


@register(Tags.security)
def check_allowed_networks(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """realtime.E001: TGHUB_WEBHOOK_ALLOW_NETS are networks."""
    messages: list[CheckMessage] = []
    for text in settings.TGHUB_WEBHOOK_ALLOW_NETS:
        try:
            network(text)
        except ValueError:
            messages.append(
                Error(
                    f"{text!r} in TGHUB_WEBHOOK_ALLOW_NETS is no network.",
                    hint="Write 10.0.0.0/8 or 192.0.2.1, comma separated.",
                    id="realtime.E001",
                )
            )
    return messages

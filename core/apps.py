from django.apps import AppConfig
from django.conf import settings


class CoreConfig(AppConfig):
    name = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from core import checks, logs  # noqa: F401  registers the system checks

        for secret in (
            settings.SECRET_KEY,
            settings.TELEGRAM["API_HASH"],
            *settings.TGHUB_ENCRYPTION_KEYS,
        ):
            logs.hide(secret)

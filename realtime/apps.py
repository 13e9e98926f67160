from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Streams and webhooks"

    def ready(self) -> None:
        from realtime import cursors
        from realtime.webhooks import checks, outbox  # noqa: F401  registers a system check

        cursors.register()
        outbox.register()

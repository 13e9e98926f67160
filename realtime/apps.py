from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = "Streams and webhooks"

    def ready(self) -> None:
        from realtime import cursors
        from realtime.webhooks import outbox

        cursors.register()
        outbox.register()

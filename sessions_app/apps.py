from django.apps import AppConfig


class SessionsAppConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Telegram sessions"

    def ready(self) -> None:
        from core import health
        from sessions_app import live

        health.register_fact("active_sessions", live.active_sessions)

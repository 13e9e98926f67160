from django.apps import AppConfig


class ScraperConfig(AppConfig):
    name = "scraper"
    verbose_name = "Scraper"

    def ready(self) -> None:
        from scraper import dialog_updates, handlers, qr
        from sessions_app.chores import register_chore

        handlers.register()
        dialog_updates.register()
        register_chore(qr.settle_all)

from django.apps import AppConfig


class ScraperConfig(AppConfig):
    name = "scraper"
    verbose_name = "Scraper"

    def ready(self) -> None:
        from scraper import handlers

        handlers.register()

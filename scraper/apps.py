from django.apps import AppConfig


class ScraperConfig(AppConfig):
    name = "scraper"
    verbose_name = "Scraper"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from scraper import (
            background,
            dialog_updates,
            forgetting,
            fulltext,
            handlers,
            job_runner,
            qr,
        )
        from scraper.seed_import import import_seed
        from sessions_app.chores import register_chore
        from sessions_app.importing import register_seed_importer

        handlers.register()
        background.register()
        forgetting.register()
        dialog_updates.register()
        register_chore(qr.settle_all)
        register_chore(job_runner.adopt)
        register_chore(fulltext.chore)
        register_seed_importer("scraper", import_seed)
        post_migrate.connect(fulltext.after_migrate, sender=self)

from django.apps import AppConfig


class TghubConfig(AppConfig):
    name = "tghub"
    verbose_name = "tghub"

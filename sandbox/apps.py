from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Only there for `manage.py sandbox`; has no models."""

    name = "sandbox"
    verbose_name = "Sandbox"

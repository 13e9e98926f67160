"""The full-text index: tables and triggers of each database's own kind."""

from django.db import migrations

from scraper import fulltext


def install(apps, schema_editor):
    fulltext.install(schema_editor.connection)
    fulltext.index_all(schema_editor.connection)


def remove(apps, schema_editor):
    fulltext.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("scraper", "0003_job_status")]

    operations = [migrations.RunPython(install, remove)]

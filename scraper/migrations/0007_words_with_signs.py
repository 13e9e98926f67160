"""Words are cut and folded anew: every message is indexed again, in the background."""

from django.db import migrations

from scraper import fulltext


def index_again(apps, schema_editor):
    fulltext.index_all(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("scraper", "0006_job_before")]

    operations = [migrations.RunPython(index_again, migrations.RunPython.noop)]

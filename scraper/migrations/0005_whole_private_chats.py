"""Private chats are granted whole: those heard of before they were read began too late."""

from django.db import migrations


def grant_whole(apps, schema_editor):
    grants = apps.get_model("scraper", "ChatAccess").objects
    grants.filter(chat__peer_id__gt=0).exclude(min_id=0).update(min_id=0)


class Migration(migrations.Migration):
    dependencies = [("scraper", "0004_full_text")]

    operations = [migrations.RunPython(grant_whole, migrations.RunPython.noop)]

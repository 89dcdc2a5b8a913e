"""Reporting a grant as unused and putting it to sleep become two things."""

from django.db import migrations, models


def keep_asleep(apps, schema_editor):
    """What was put to sleep goes on sleeping: an upgrade gives no access back."""
    grants = apps.get_model("dbam", "Grant")._base_manager
    grants.filter(is_dormant=True).update(is_asleep=True)


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("dbam", "0003_grant_objects")]

    operations = [
        migrations.AddField(
            model_name="grant",
            name="is_asleep",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(keep_asleep, migrations.RunPython.noop),
    ]

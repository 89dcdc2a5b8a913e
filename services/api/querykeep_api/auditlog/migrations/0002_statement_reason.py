"""Why a statement was refused, as a code with arguments."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("auditlog", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="statement",
            name="reason_json",
            field=models.TextField(default=""),
        ),
    ]

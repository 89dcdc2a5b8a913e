"""When an agent's access token was first used."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("iam", "0003_token_scopes")]

    operations = [
        migrations.AddField(
            model_name="agentcredential",
            name="used_at",
            field=models.DateTimeField(null=True),
        ),
    ]

"""Tokens keep what they could do before there were scopes over one's own."""

from django.db import migrations

OWN = ("own.view", "own.change", "own.tokens")


def add_own_scopes(apps, schema_editor):
    """Add the scopes that every token had without a name for them."""
    for token in apps.get_model("iam", "ApiToken")._base_manager.all():
        token.scopes = sorted({*token.scopes, *OWN})
        token.save(update_fields=["scopes"])


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("iam", "0002_roles")]

    operations = [migrations.RunPython(add_own_scopes, migrations.RunPython.noop)]

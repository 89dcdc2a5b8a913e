"""The built-in roles."""

from django.db import migrations

VIEW_AND_CHANGE = {
    "owner": (
        "Everything on Querykeep itself; no data without a grant",
        [
            "users.view", "users.change", "roles.change", "connections.view", "connections.change",
            "policy.view", "policy.change", "sessions.view", "sessions.end", "jobs.view", "jobs.run",
            "audit.view", "audit.export", "explain.use",
        ],
    ),
    "user-admin": ("People and groups", ["users.view", "users.change"]),
    "connection-admin": (
        "Connections, their jobs and sessions",
        ["connections.view", "connections.change", "jobs.view", "jobs.run", "sessions.view"],
    ),
    "policy-admin": (
        "Grants, privileges and rules",
        [
            "policy.view", "policy.change", "connections.view", "users.view", "sessions.view",
            "sessions.end", "explain.use",
        ],
    ),
    "auditor": ("The audit log", ["audit.view", "audit.export"]),
}


def make_roles(apps, schema_editor):
    Role = apps.get_model("iam", "Role")
    for name, (description, permissions) in VIEW_AND_CHANGE.items():
        Role.objects.create(
            name=name, description=description, permissions=sorted(permissions), is_builtin=True
        )


def remove_roles(apps, schema_editor):
    apps.get_model("iam", "Role").objects.filter(is_builtin=True).delete()


class Migration(migrations.Migration):
    dependencies = [("iam", "0001_initial")]
    operations = [migrations.RunPython(make_roles, remove_roles)]

"""The built-in privileges."""

from django.db import migrations

READ = [
    "select", "show", "explain", "transaction", "set", "use", "declare_cursor", "fetch",
    "close_cursor", "prepare", "execute", "deallocate", "copy_out", "empty",
]
WRITE = ["insert", "update", "delete", "merge", "copy_in", "load", "lock"]
DDL = ["create", "alter", "drop", "truncate", "rename", "comment"]
REST = ["grant", "call", "maintenance", "notify", "kill"]

PRIVILEGES = [
    ("read-only", "Read, browse and export", READ, ["copy", "export"]),
    ("read-write", "Read and change rows", READ + WRITE, ["copy", "export", "import"]),
    ("ddl", "Read, change rows and structure", READ + WRITE + DDL, ["copy", "export", "import"]),
    (
        "owner",
        "Every kind of statement that is understood",
        READ + WRITE + DDL + REST,
        ["copy", "export", "import"],
    ),
]


def make_privileges(apps, schema_editor):
    Privilege = apps.get_model("dbam", "Privilege")
    for name, description, kinds, functions in PRIVILEGES:
        Privilege.objects.create(
            name=name,
            description=description,
            kinds=sorted(kinds),
            functions=sorted(functions),
            is_builtin=True,
        )


def remove_privileges(apps, schema_editor):
    apps.get_model("dbam", "Privilege").objects.filter(is_builtin=True).delete()


class Migration(migrations.Migration):
    dependencies = [("dbam", "0001_initial")]
    operations = [migrations.RunPython(make_privileges, remove_privileges)]

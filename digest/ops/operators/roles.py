"""Who may do what: four roles, each a group that may do what the one before it may.

The groups follow this file at each migrate, so other permissions belong into other groups.
"""

from django.contrib.auth.models import Group, Permission, User
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from digest.models import OWNER

ROLES = ("viewer", "editor", "sender", OWNER)
OURS = ("digest", "subscribers")
HIDDEN = {"digest.view_act"}  # from all but owners: who did what
HELP = {
    "digest.test_edition",
    "digest.add_announcement",
    "digest.change_announcement",
    "subscribers.change_subscriber",
    "subscribers.add_suppression",
}
STEER = {"digest.change_edition"}
BEYOND_VIEWS = {"viewer": set[str](), "editor": HELP, "sender": HELP | STEER}


def may(role: str, permission: str) -> bool:
    """Return whether a role has a permission, named like digest.view_edition."""
    app, _, codename = permission.partition(".")
    if role == OWNER:
        return app in OURS or app == "auth" and codename.endswith("_user")
    sees = app in OURS and codename.startswith("view_") and permission not in HIDDEN
    return sees or permission in BEYOND_VIEWS[role]


def sync_after_migrate(using: str = DEFAULT_DB_ALIAS, **signal: object) -> None:
    """Receive post_migrate: make the four groups, with the permissions of today."""
    if using != DEFAULT_DB_ALIAS or not has_tables(using):
        return
    rows = Permission.objects.filter(content_type__app_label__in=[*OURS, "auth"])
    names = rows.order_by().values_list("pk", "content_type__app_label", "codename")
    known = {pk: f"{app}.{codename}" for pk, app, codename in names}
    held = {role: set[int]() for role in ROLES}
    pairs = Group.objects.filter(name__in=ROLES).values_list("name", "permissions")
    for name, permission in pairs:
        held[name].add(permission)
    for role in ROLES:
        wanted = {pk for pk, name in known.items() if may(role, name)}
        if wanted != held[role]:
            Group.objects.get_or_create(name=role)[0].permissions.set(wanted)


def has_tables(using: str) -> bool:
    """Return whether the accounts have their tables: not after migrating backward."""
    with connections[using].cursor() as cursor:
        tables = connections[using].introspection.table_names(cursor)
    return Group._meta.db_table in tables


def role_of(user: User) -> str:
    """Return the highest role of an account; empty for none. A superuser is an owner."""
    if user.is_superuser:
        return OWNER
    names = {group.name for group in user.groups.all()}
    return next((role for role in reversed(ROLES) if role in names), "")


def give(user: User, role: str) -> None:
    """Give an account this role and no other, and let it log in."""
    with transaction.atomic():
        user.groups.set([Group.objects.get(name=role)])
        user.is_staff, user.is_superuser = True, False
        user.save(update_fields=["is_staff", "is_superuser"])

"""`manage.py operator [NAME [add|role|reset-factor]]`: accounts, roles, lost second factors."""

import getpass
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from digest.management.base import OperatorCommand, add_json
from digest.ops.operators import audit, roles, second_factor

ACTIONS = ["add", "role", "reset-factor"]


class Command(OperatorCommand):
    help = (
        "List the operators; add one, give one another role, or take away a second factor that"
        " was lost, which also logs them out everywhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="of the account; without it, list all")
        parser.add_argument(
            "action", nargs="?", choices=ACTIONS, help="without it, show the account"
        )
        parser.add_argument(
            "--role",
            choices=roles.ROLES,
            help="add, role: each may do what the one before it may",
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        name, action, role = options["name"], options["action"], options["role"]
        if action in {"add", "role"} and not role:
            raise CommandError(f"--role is required: one of {', '.join(roles.ROLES)}")
        if action == "add":
            self.add(name, role)
        elif action:
            user = User.objects.filter(username=name).first()
            if user is None:
                raise CommandError(f"there is no account {name!r:.60}")
            if action == "role":
                roles.give(user, role)
                audit.record_command("role", user, detail=f"{role} for {name}")
            else:
                self.reset(user)
        self.print_list(name, as_json=options["json"])

    def add(self, name: str, role: str) -> None:
        if User.objects.filter(username=name).exists():
            raise CommandError(f"the account {name!r:.60} exists: use `role`")
        user = User(username=name)
        password = self.ask_password()
        try:
            user.clean_fields(exclude=["password"])
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.set_password(password)
        user.save()
        roles.give(user, role)
        audit.record_command("account added", user, detail=f"{role}: {name}")

    def ask_password(self) -> str:
        """Read the password twice from the terminal, or once from a line of a pipe."""
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        password = getpass.getpass("Password: ")
        if getpass.getpass("Password again: ") != password:
            raise CommandError("the passwords differ: nothing was added")
        return password

    def reset(self, user: User) -> None:
        if not second_factor.remove(user):
            raise CommandError("this account has no second factor")
        audit.record_command("second factor removed", user, detail=user.username)

    def print_list(self, name: str | None, *, as_json: bool) -> None:
        accounts = User.objects.filter(is_staff=True).order_by("username")
        if name:
            accounts = accounts.filter(username=name)
            if not accounts.exists():
                raise CommandError(f"there is no operator {name!r:.60}")
        secured = second_factor.secured()
        for user in accounts.prefetch_related("groups"):
            told = {"name": user.username, "role": roles.role_of(user)}
            factor = user.pk in secured
            if as_json:
                self.stdout.write(json.dumps(told | {"second_factor": factor}))
            else:
                words = "second factor" if factor else "no second factor"
                self.stdout.write(f"{told['name']:20} {told['role'] or '-':8} {words}")

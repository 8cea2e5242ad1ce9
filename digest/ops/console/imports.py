"""Import readers in the browser: upload, which column is which, a trial, the import itself."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from digest.ops.console import acts
from digest.ops.operators import audit
from digest.ops.paging import PAGE_LENGTH
from subscribers import import_jobs
from subscribers.fields import plain
from subscribers.import_export import Became
from subscribers.import_file import BadFile
from subscribers.import_rows import COLUMNS, KNOWN
from subscribers.models import Import
from subscribers.tasks import wake_imports

State = Import.State
ADD = "subscribers.add_import"
see_imports = permission_required("subscribers.view_import", raise_exception=True)


@csrf_exempt  # until it is known who asks: to look for the token means to read the file
@see_imports
@require_http_methods(["GET", "HEAD", "POST"])
def imports(request: HttpRequest) -> HttpResponse:
    """List the imports; a POST uploads a file."""
    if request.method == "POST":
        acts.allow(request, ADD)
        if int(request.META.get("CONTENT_LENGTH") or 0) > import_jobs.MOST_BYTES:
            most = import_jobs.MOST_BYTES // 1024**2
            words = f"The file has more than {most} MB: use `manage.py subscribers import`."
            messages.error(request, words)
            return redirect("console_imports")
        return upload(request)
    context = {
        "imports": Import.objects.defer("content").order_by("-pk")[:PAGE_LENGTH],
        "may_import": request.user.has_perm(ADD),
        "most": import_jobs.MOST_BYTES // 1024**2,
    }
    return render(request, "console/imports.html", context)


@csrf_protect
def upload(request: HttpRequest) -> HttpResponse:
    """Keep the file in the database, where the worker finds it."""
    file = request.FILES.get("file")
    if file is None or not file.size:
        messages.error(request, "Choose a file that is not empty.")
        return redirect("console_imports")
    now = timezone.now()
    one = Import.objects.create(
        name=str(file.name)[-100:],
        content=file.read(),
        who=request.user.get_username(),
        created_at=now,
        changed_at=now,
    )
    audit.record_request(request, "upload", one, detail=f"Uploaded: {file.size} bytes")
    return redirect("console_import", pk=one.pk)


@see_imports
@require_http_methods(["GET", "HEAD", "POST"])
def one_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one import: its columns, its trial, its progress; POST goes to the next step."""
    found = get_object_or_404(Import.objects.defer("content"), pk=pk)
    if request.method == "POST":
        acts.act(request, found, IMPORT_ACTS)
        return redirect(f"{reverse('console_import', args=[pk])}#state")
    may = request.user.has_perm(ADD)
    context = {
        "import": found,
        "may_import": may,
        "tally": [(each, found.tally[each]) for each in Became if found.tally.get(each)],
        "notes": found.notes.splitlines(),
        "acts": audit.acts_on(found),
    }
    if may and found.state in {State.NEW, State.CHECKED}:
        context |= columns_of(found)
    return render(request, "console/import.html", context)


def columns_of(found: Import) -> dict[str, object]:
    """Return the file's columns with the one of ours that each is taken for."""
    try:
        look = import_jobs.file_of(found).look()
    except BadFile as error:
        return {"unreadable": str(error)}
    return {"look": look, "ours": [*COLUMNS, "legal_source"]}


# -- acts ------------------------------------------------------------------------------------


def check(request: HttpRequest, found: Import) -> str:
    """Note which column is which, and have the worker try all rows."""
    try:
        look = import_jobs.file_of(found).look()
    except BadFile as error:
        raise acts.CannotAct(str(error)) from None
    chosen = {
        column.theirs: request.POST.get(f"column-{place}", column.ours)
        for place, column in enumerate(look.columns)
    }
    by_tool = {one.theirs for one in look.columns if one.by_tool}
    if not set(chosen.values()) <= KNOWN | by_tool | {""}:
        raise acts.CannotAct("Choose each column from the list.")
    Import.objects.filter(pk=found.pk, state__in=[State.NEW, State.CHECKED]).update(
        changed_at=(now := timezone.now()),
        columns=look.named(chosen),
        legal_source=plain(request.POST.get("legal_source", ""))[:500],
        state=State.NEW,
    )
    found.changed_at = now
    if not import_jobs.begin(found, State.CHECKING, before=State.NEW, now=now):
        raise acts.CannotAct("This file was deleted, or is being imported.")
    wake_imports()
    return "Trial begun: nothing is stored by it"


def start(request: HttpRequest, found: Import) -> str:
    """Import what was tried, after its number of rows was typed."""
    if not found.rows:
        raise acts.CannotAct("There is no row to import.")
    if request.POST.get("typed", "").strip() != f"{found.rows}":
        raise acts.CannotAct(
            f"Not begun: type {found.rows}, the number of rows, to confirm."
        )
    if request.POST.get("tried") != found.changed_at.isoformat():
        raise acts.CannotAct("Not begun: it was tried again meanwhile. Look at that first.")
    now = timezone.now()
    if not import_jobs.begin(found, State.IMPORTING, before=State.CHECKED, now=now):
        raise acts.CannotAct("Only a file that was tried can be imported, and once.")
    wake_imports()
    why = f", legal source: {found.legal_source}" if found.legal_source else ""
    return f"Import begun: {found.rows} rows{why}"


def cancel(request: HttpRequest, found: Import) -> str:
    if not import_jobs.cancel(found.pk, now=timezone.now()):
        raise acts.CannotAct("It has ended.")
    return "Import cancelled; the file is deleted"


IMPORT_ACTS: dict[str, acts.Act[Import]] = {
    "check": (ADD, check),
    "import": (ADD, start),
    "cancel": (ADD, cancel),
}

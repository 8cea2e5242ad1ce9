"""URLs for machines and operators."""

from typing import cast

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, path

from digest.feedback import webhooks
from digest.ops import health, metrics
from digest.ops.console import announcements, configuration, imports, mail, readers_mail
from digest.ops.console import views as console
from digest.ops.mailbox import views
from digest.ops.operators import views as accounts
from digest.ops.operators.login import OperatorsSite


def operators(route: str, view: console.Page, name: str) -> URLPattern:
    """Return a page under the admin's path, behind its login."""
    guarded = cast("OperatorsSite", admin.site).page(view)
    return path(f"{settings.ADMIN_PATH}/{route}", guarded, name=f"console_{name}")


urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path(".well-known/security.txt", health.security_txt, name="security_txt"),
    path("webhooks/<slug:provider>/tracking/", webhooks.tracking, name="webhook"),
    path("mailbox/", views.mails, name="mailbox"),
    path("mailbox/<str:mail_id>/", views.mail, name="mail"),
    path("mailbox/<str:mail_id>/html/", views.mail_html, name="mail_html"),
    operators("today/", console.today, "today"),
    operators("charts/", console.charts_page, "charts"),
    operators("editions/", console.editions, "editions"),
    operators("editions/<int:pk>/", console.edition, "edition"),
    operators("editions/<int:pk>/preview/<int:reader>/", readers_mail.preview, "preview"),
    operators("deliveries/<int:pk>/sent/", readers_mail.sent, "sent"),
    operators("editions/<int:pk>/why/<int:reader>/", console.why_paper, "why"),
    operators("announcements/", announcements.listing, "announcements"),
    operators("announcements/new/", announcements.new, "announcement_new"),
    operators("announcements/<int:pk>/", announcements.announcement, "announcement"),
    operators(
        "announcements/<int:pk>/<str:part>/", announcements.preview, "announcement_preview"
    ),
    operators("readers/", console.readers, "readers"),
    operators("readers/<int:pk>/", console.reader, "reader"),
    operators("suppressions/", console.suppressions, "suppressions"),
    operators("suppressions/<int:pk>/", console.suppression, "suppression"),
    operators("relays/", mail.relays_page, "relays"),
    operators("unknown/", mail.unknown, "unknown"),
    operators("notices/", mail.notices, "notices"),
    operators("imports/", imports.imports, "imports"),
    operators("imports/<int:pk>/", imports.one_import, "import"),
    operators("settings/", configuration.settings_page, "settings"),
    operators("reports/", console.reports, "reports"),
    operators("doctor/", console.doctor_page, "doctor"),
    operators("audit/", accounts.audit_log, "audit"),
    # Before all that is owed is shown, so not behind the door.
    path(f"{settings.ADMIN_PATH}/account/", accounts.account, name="console_account"),
    path(f"{settings.ADMIN_PATH}/code/", accounts.code_page, name="console_code"),
    path(f"{settings.ADMIN_PATH}/leave/", accounts.leave, name="console_leave"),
]

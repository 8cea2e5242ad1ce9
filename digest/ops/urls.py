"""The addresses of this room: for machines, and for who runs them."""

from django.urls import path

from digest.ops import health, mailbox_views, webhooks

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("webhooks/<slug:provider>/tracking/", webhooks.tracking, name="webhook"),
    path("mailbox/", mailbox_views.mails, name="mailbox"),
    path("mailbox/<str:mail_id>/", mailbox_views.mail, name="mail"),
    path("mailbox/<str:mail_id>/html/", mailbox_views.mail_html, name="mail_html"),
]

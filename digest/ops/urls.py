"""URLs for machines and operators."""

from django.urls import path

from digest.feedback import webhooks
from digest.ops import health
from digest.ops.mailbox import views

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path(".well-known/security.txt", health.security_txt, name="security_txt"),
    path("webhooks/<slug:provider>/tracking/", webhooks.tracking, name="webhook"),
    path("mailbox/", views.mails, name="mailbox"),
    path("mailbox/<str:mail_id>/", views.mail, name="mail"),
    path("mailbox/<str:mail_id>/html/", views.mail_html, name="mail_html"),
]

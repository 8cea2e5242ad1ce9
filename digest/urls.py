"""All URLs: subscribers, public pages, operations, admin."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("subscribers.urls")),
    path("", include("digest.site.urls")),
    path("", include("digest.ops.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]

handler404 = "digest.site.not_found.page_not_found"
handler500 = "digest.site.api.answers.server_error"

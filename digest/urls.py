"""All URLs: subscribers, public pages, operations, admin."""

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

from digest.site.urls import pages as public_pages
from subscribers.urls import pages as forms

# Here and not when the apps are ready: a worker serves no page, and needs none of it.
admin.autodiscover()

urlpatterns = [
    *i18n_patterns(*forms, *public_pages, prefix_default_language=False),
    path("", include("subscribers.urls")),
    path("", include("digest.site.urls")),
    path("", include("digest.ops.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]

handler404 = "digest.site.not_found.page_not_found"
handler500 = "digest.site.api.answers.server_error"

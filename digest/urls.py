"""The public addresses, in the order of the house: people, papers, machines."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("subscribers.urls")),
    path("", include("digest.site.urls")),
    path("", include("digest.ops.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]

"""The addresses as they are with a webhook secret."""

from django.urls import include, path

from digest.urls import urlpatterns as without

urlpatterns = [*without, path("webhooks/", include("anymail.urls"))]

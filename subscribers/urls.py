"""The addresses of this room. They stand in mail for years: never change one."""

from django.urls import path

from subscribers import views

urlpatterns = [
    path("subscribe/", views.subscribe, name="subscribe"),
    path("subscribe/done/", views.subscribe_done, name="subscribe_done"),
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("block/<str:token>/", views.block, name="block"),
    path("preferences/", views.preferences_link, name="preferences_link"),
    path("preferences/sent/", views.preferences_sent, name="preferences_sent"),
    path("preferences/<str:token>/", views.preferences, name="preferences"),
    path("u/<str:token>", views.unsubscribe, name="unsubscribe"),
]

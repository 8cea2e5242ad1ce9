"""The addresses of this room. They stand in mail for years: never change one.

Pages that also show something of papers are given it where all is put together:
/subscribe/, /preferences/TOKEN/ and /data/TOKEN/ stand in digest/site/urls.py.
"""

from django.urls import path

from subscribers import preference_views, views

# With an address for each language.
pages = [
    path("subscribe/done/", views.subscribe_done, name="subscribe_done"),
    path("preferences/", preference_views.preferences_link, name="preferences_link"),
    path("preferences/sent/", preference_views.preferences_sent, name="preferences_sent"),
]
urlpatterns = [
    path("subscribe/challenge/", views.challenge, name="challenge"),
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("block/<str:token>/", views.block, name="block"),
    path("address/<str:token>/", views.address, name="address"),
    path(
        "preferences/<str:token>/browsers/",
        preference_views.change_browsers,
        name="change_browsers",
    ),
    path("p/<path:token>", views.door, name="door"),
    path("u/<path:token>", views.unsubscribe, name="unsubscribe"),
]

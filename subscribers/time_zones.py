"""The time zones that the forms offer, by region; any other IANA name is accepted, too.

The database has 600 names: historical ones, links such as Navajo, and offsets such as
Etc/GMT+5, whose sign is the other way round. Offered is at least one city of each zone
that many people live in, with its offset of today.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

CITIES = {
    gettext_lazy("Europe"): (
        "Europe",
        "Amsterdam Athens Belgrade Berlin Brussels Bucharest Copenhagen Dublin Helsinki Istanbul "
        "Kyiv Lisbon London Madrid Moscow Oslo Paris Prague Rome Stockholm Vienna Warsaw Zurich",
    ),
    gettext_lazy("America"): (
        "America",
        "Anchorage Bogota Caracas Chicago Denver Guatemala Halifax Lima Los_Angeles Mexico_City "
        "Montevideo New_York Phoenix Santiago Sao_Paulo St_Johns Toronto Vancouver",
    ),
    gettext_lazy("Asia"): (
        "Asia",
        "Baghdad Baku Bangkok Dhaka Dubai Ho_Chi_Minh Hong_Kong Jakarta Jerusalem Kabul Karachi "
        "Kathmandu Kolkata Kuala_Lumpur Manila Riyadh Seoul Shanghai Singapore Taipei Tashkent "
        "Tbilisi Tehran Tokyo Yangon",
    ),
    gettext_lazy("Africa"): (
        "Africa",
        "Accra Algiers Cairo Casablanca Johannesburg Lagos Nairobi",
    ),
    gettext_lazy("Australia and Pacific"): (
        "Australia",
        "Adelaide Brisbane Darwin Perth Sydney",
    ),
}
# Where most who read a language live: for browsers that run no script and tell no zone.
OF_LANGUAGE = {"de": "Europe/Berlin"}
PACIFIC = ("Pacific/Auckland", "Pacific/Fiji", "Pacific/Honolulu")
MORE = {"America": ("America/Argentina/Buenos_Aires",), "Australia": PACIFIC}
type Options = list[tuple[str, str]]


def offered() -> list[tuple[str, Options]]:
    """Return (region, [(IANA name, city with its offset)]), each from west to east."""
    now = timezone.now()
    regions: list[tuple[str, Options]] = [(gettext("Anywhere"), [("UTC", "UTC")])]
    for region, names in names_by_region():
        in_order = sorted(names, key=lambda name: (offset(name, now), name))
        regions.append((region, [(name, label(name, now)) for name in in_order]))
    return regions


def names_by_region() -> Iterator[tuple[str, list[str]]]:
    for region, (folder, cities) in CITIES.items():
        names = [f"{folder}/{city}" for city in cities.split()]
        yield str(region), [*names, *MORE.get(folder, ())]


def label(name: str, now: datetime) -> str:
    """Return what people read: Buenos Aires (UTC−03:00)."""
    minutes = int(offset(name, now).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"{gettext(city(name))} (UTC{'−' if minutes < 0 else '+'}{hours:02}:{rest:02})"


def city(name: str) -> str:
    """Return the English name of a zone's city, which the catalogues know."""
    return name.rpartition("/")[2].replace("_", " ")


def in_words(name: str) -> str:
    """Return what people call the time of that zone: Berlin time; UTC for UTC."""
    if "/" not in name or name.startswith("Etc/"):
        return name
    return gettext("%(city)s time") % {"city": gettext(city(name))}


def offset(name: str, now: datetime) -> timedelta:
    return now.astimezone(ZoneInfo(name)).utcoffset() or timedelta(0)

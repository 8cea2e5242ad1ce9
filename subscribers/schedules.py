"""The schedules that readers can wish for: one row each, however many readers share it."""

from subscribers.models import Schedule

DAYS = {
    Schedule.Cadence.DAILY: 0b1111111,
    Schedule.Cadence.WEEKDAYS: 0b0011111,
    Schedule.Cadence.WEEKLY: 0b0000001,  # Monday
}


def schedule(timezone: str, send_hour: int, cadence: Schedule.Cadence) -> Schedule:
    """The row of this wish: an IANA zone, a local hour, a cadence."""
    found, _ = Schedule.objects.get_or_create(
        timezone=timezone, send_hour=send_hour, cadence=cadence, days=DAYS[cadence]
    )
    return found

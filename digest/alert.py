"""Tell the operator at once: an error in the log and a mail to the ADMINS."""

import logging

from django.core.mail import mail_admins

from digest.scrub import scrub

logger = logging.getLogger(__name__)


def alert(message: str) -> None:
    """Log the message as an error and mail it to the ADMINS. Never raises."""
    logger.error(message)
    message = scrub(message)
    try:
        mail_admins(message[:100], message)
    except Exception as error:  # of whatever transport
        logger.error("the ADMINS could not be told: %s", type(error).__name__)

"""Alert the operator with an error in the log and a mail to the ADMINS."""

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
    except Exception as error:  # any error of any transport
        logger.error("the ADMINS could not be alerted: %s", type(error).__name__)

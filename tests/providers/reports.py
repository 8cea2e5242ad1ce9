"""A bounce as providers report it, signed as each of them signs."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

WORDS = "550 5.1.1 user unknown"
TAKEN, REFUSED = "200 bounced\n", "400\n"


class SignedReport(NamedTuple):
    """A report, and the variables with which its signature is checked."""

    body: str
    headers: dict[str, str]
    variables: dict[str, str]
    answers: str  # to a forged signature and to the right one


def bounce(provider: str, email: str) -> SignedReport:
    """Return the report that there is no such mailbox."""
    return BY[provider](email)


def amazon_ses(email: str) -> SignedReport:
    """https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html"""
    at = datetime.now(UTC).isoformat()
    to = {"emailAddress": email, "status": "5.1.1", "diagnosticCode": f"smtp; {WORDS}"}
    event = {
        "eventType": "Bounce",
        "mail": {"messageId": "m-1", "timestamp": at, "destination": [email]},
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [to],
            "timestamp": at,
            "feedbackId": "f-1",
        },
    }
    told = {"Type": "Notification", "MessageId": "n-1", "Message": json.dumps(event)}
    # Anymail does not check the signature of SNS: the password of the address counts.
    headers = {"X-Amz-SNS-Message-Type": "Notification", "X-Amz-SNS-Message-Id": "n-1"}
    return SignedReport(json.dumps(told), headers, {}, REFUSED + TAKEN)


def resend(email: str) -> SignedReport:
    """https://docs.svix.com/receiving/verifying-payloads/how-manual"""
    at, secret = datetime.now(UTC).isoformat(), b"a secret of 24 bytes....."
    data: dict[str, Any] = {"email_id": "m-1", "to": [email], "created_at": at}
    data["bounce"] = {"message": WORDS, "type": "Permanent", "subType": "General"}
    body = json.dumps({"type": "email.bounced", "created_at": at, "data": data})
    now = str(int(time.time()))
    digest = hmac.new(secret, f"msg_1.{now}.{body}".encode(), hashlib.sha256).digest()
    signed = f"v1,{base64.b64encode(digest).decode()}"
    headers = {"svix-id": "msg_1", "svix-timestamp": now, "svix-signature": signed}
    key = f"whsec_{base64.b64encode(secret).decode()}"
    variables = {"ANYMAIL_RESEND_SIGNING_SECRET": key}
    return SignedReport(body, headers, variables, REFUSED + TAKEN)


def sendgrid(email: str) -> SignedReport:
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features"""
    now = str(int(time.time()))
    event = {"email": email, "timestamp": int(now), "event": "bounce", "type": "bounce"}
    event |= {"sg_event_id": "e-1", "sg_message_id": "m-1", "reason": WORDS}
    body = json.dumps([event])
    key = ec.generate_private_key(ec.SECP256R1())
    signed = key.sign(f"{now}{body}".encode(), ec.ECDSA(hashes.SHA256()))
    name = "X-Twilio-Email-Event-Webhook"
    headers = {f"{name}-Timestamp": now, f"{name}-Signature": text_of(signed)}
    variables = {"ANYMAIL_SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": public(key)}
    return SignedReport(body, headers, variables, REFUSED + TAKEN)


def postal(email: str) -> SignedReport:
    """https://docs.postalserver.io/developer/webhooks"""
    message = {"id": "m-1", "to": email, "timestamp": time.time()}
    payload = {"original_message": message, "bounce": {"id": 2}, "output": WORDS}
    told = {"event": "MessageBounced", "timestamp": time.time(), "uuid": "u-1"}
    body = json.dumps(told | {"payload": payload})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signed = key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA1())  # Postal's choice
    headers = {"X-Postal-Signature": text_of(signed)}
    variables = {"ANYMAIL_POSTAL_WEBHOOK_KEY": public(key)}
    return SignedReport(body, headers, variables, REFUSED + TAKEN)


def text_of(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Return the public key in one line of base64, as the providers show it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return text_of(key.public_key().public_bytes(serialization.Encoding.DER, form))


BY = {
    "amazon_ses": amazon_ses,
    "postal": postal,
    "resend": resend,
    "sendgrid": sendgrid,
}

"""What mail programs see in a mail: by the parser of Python and by one of another house."""

from email import message_from_bytes, policy

from fast_mail_parser import parse_email

Parts = list[tuple[str, str]]


def in_python(raw: bytes) -> Parts:
    message = message_from_bytes(raw, policy=policy.default)
    assert not message.defects and not message.preamble and not message.epilogue
    return [
        (part.get_content_type(), normal(part.get_content()))
        for part in message.iter_parts()
    ]


def in_rust(raw: bytes) -> Parts:
    mail = parse_email(raw)
    assert not mail.attachments
    texts = [("text/plain", normal(text)) for text in mail.text_plain]
    return texts + [("text/html", normal(text)) for text in mail.text_html]


def normal(text: str) -> str:
    return text.replace("\r\n", "\n")

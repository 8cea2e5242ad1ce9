"""The site's own files under names by their content, as `collectstatic` wrote them.

Without that step each page would end in an exception, the pages that refuse something too.
They answer without their style instead, and `check --deploy` says what is missing.
"""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """The files by the names of the manifest, and as they are called where it has none."""

    manifest_strict = False

    def hashed_name(
        self, name: str, content: object = None, filename: object = None
    ) -> str:
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:  # it was not collected
            return name

"""Papers from the source, what search finds them by, and the days asked for."""

from urllib.parse import urlencode

from django.db import models


class Paper(models.Model):
    """One arXiv paper, latest version seen. All text is cleaned at ingest."""

    arxiv_id = models.CharField(
        max_length=32,
        unique=True,
        help_text="Canonical: 2604.01234, no version; title-… while it is unknown.",
    )
    title = models.TextField()
    abstract = models.TextField()
    summary = models.TextField(
        blank=True, default="", help_text="The source's one sentence, written by a machine."
    )
    authors = models.JSONField(default=list, help_text="Names, in order.")
    author_count = models.PositiveIntegerField(default=0)
    organization = models.CharField(max_length=200, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True, help_text="arXiv, UTC.")
    day = models.DateField(db_index=True, help_text="The day it was first listed, UTC.")
    upvotes = models.PositiveIntegerField(default=0)
    has_votes = models.BooleanField(
        default=True, db_default=True, help_text="A source told their number."
    )
    comments = models.PositiveIntegerField(default=0)
    code_url = models.URLField(max_length=500, blank=True)
    project_url = models.URLField(max_length=500, blank=True)
    keywords = models.JSONField(default=list, blank=True)
    categories = models.JSONField(default=list, blank=True, help_text="arXiv codes.")
    is_listed = models.BooleanField(
        default=True, help_text="Among the trending papers; else it fills a topic's gap."
    )
    is_sample = models.BooleanField(default=False, help_text="Written for the demo.")
    fetched_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "papers"
        ordering = ["-day", "-is_listed", "-upvotes", "arxiv_id"]

    def __str__(self) -> str:
        return self.arxiv_id

    @property
    def has_arxiv_id(self) -> bool:
        return not self.arxiv_id.startswith("title-")

    @property
    def abstract_url(self) -> str:
        """The paper at arXiv, or a search for its title there."""
        if self.has_arxiv_id:
            return f"https://arxiv.org/abs/{self.arxiv_id}"
        query = urlencode({"searchtype": "title", "query": self.title})
        return f"https://arxiv.org/search/?{query}"

    @property
    def pdf_url(self) -> str:
        return f"https://arxiv.org/pdf/{self.arxiv_id}" if self.has_arxiv_id else ""

    @property
    def discussion_url(self) -> str:
        has_page = self.has_arxiv_id and self.is_listed
        return f"https://huggingface.co/papers/{self.arxiv_id}" if has_page else ""


class PaperWords(models.Model):
    """What search finds a paper by: folded words, written by papers/search_index.py.

    The full-text index is made of these columns by the database itself: an FTS5 table kept
    up to date by triggers on SQLite, generated tsvector columns on PostgreSQL (see the
    migration paper_words). SQLite loses the triggers when a migration remakes this table;
    such a migration has to make them again.
    """

    paper = models.OneToOneField(
        Paper, on_delete=models.CASCADE, primary_key=True, related_name="words"
    )
    day = models.DateField(db_index=True, help_text="As of the paper.")
    topics = models.TextField(help_text="Slugs, best first, separated by spaces.")
    version = models.PositiveSmallIntegerField(help_text="Of the code that wrote this row.")
    name = models.TextField(help_text="What the title calls the work before its colon.")
    title = models.TextField()
    people = models.TextField(help_text="Authors and organization.")
    tags = models.TextField(help_text="Topics, keywords, words that recur.")
    abstract = models.TextField()

    class Meta:
        verbose_name_plural = "paper words"

    def __str__(self) -> str:
        return f"words of paper {self.paper_id}"


class PaperMeaning(models.Model):
    """A paper's point by the sentence embeddings, by which a search finds it by meaning.

    Written where they are installed, by ranking/meaning.py.
    """

    paper = models.OneToOneField(Paper, on_delete=models.CASCADE, related_name="meaning")
    model = models.CharField(max_length=8, help_text="Hash of the model that read it.")
    point = models.BinaryField(help_text="A signed byte for each coordinate.")

    class Meta:
        verbose_name_plural = "paper meanings"

    def __str__(self) -> str:
        return f"meaning of paper {self.paper_id}"


class KnownWord(models.Model):
    """A word of titles, names or keywords, to which search corrects a misspelled one."""

    word = models.CharField(max_length=40, unique=True)
    grams = models.TextField(help_text="What it shares with misspellings of it.")

    class Meta:
        verbose_name_plural = "known words"

    def __str__(self) -> str:
        return self.word


class SourceTurn(models.Model):
    """From when on a source may be asked again. See papers/turns.py."""

    source = models.CharField(max_length=20, primary_key=True)
    free_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "source turns"

    def __str__(self) -> str:
        return f"turn at {self.source}"


class SourceDay(models.Model):
    """One day that a source was asked for, with its last response or failure.

    See papers/source_days.py.
    """

    source = models.CharField(max_length=20, default="daily-papers")
    day = models.DateField()
    answered_at = models.DateTimeField(null=True, help_text="The last whole answer.")
    papers = models.PositiveIntegerField(null=True, help_text="Of that day, in the answer.")
    entries = models.PositiveIntegerField(default=0, help_text="In it, of any day.")
    etag = models.CharField(max_length=200, blank=True, default="")
    failed_at = models.DateTimeField(
        null=True, help_text="The first failure since the last answer."
    )
    failure = models.CharField(max_length=200, blank=True, default="")
    alarmed_at = models.DateTimeField(
        null=True, help_text="The ADMINS were told that there are no papers."
    )

    class Meta:
        verbose_name_plural = "source days"
        constraints = [
            models.UniqueConstraint(fields=["source", "day"], name="source_day_unique")
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.day}"

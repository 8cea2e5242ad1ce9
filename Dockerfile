# One image for web, worker and beat; compose.yaml says which is which.
# The base is pinned; docs/decisions.md says how to move it.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock ./
# With the packages of every provider (SES, Resend, …), so that one image fits all.
RUN uv sync --locked --no-default-groups --all-extras --python /usr/local/bin/python3 && \
    uv export --locked --no-default-groups --all-extras --format cyclonedx1.5 \
    --preview-features sbom-export --quiet --output-file sbom.cdx.json

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
RUN useradd --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin papers
WORKDIR /app
COPY --from=build /app/.venv .venv
# What is in it, as CycloneDX: for scanners, and for whoever asks.
COPY --from=build /app/sbom.cdx.json .
COPY manage.py pyproject.toml LICENSE ./
COPY templates templates
COPY subscribers subscribers
COPY digest digest
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIR=/var/lib/papers STATIC_ROOT=/app/static
# The settings want a deployment's values; collecting static files uses none of them.
RUN DATABASE_URL=postgresql://build/build REDIS_URL=redis://build SECRET_KEY=build \
    ADDRESS_KEY=build SITE_URL=http://build MAILER_URL=smtp://build \
    FROM_EMAIL=build@example.org POSTAL_ADDRESS=build \
    python manage.py collectstatic --no-input -v0
RUN install -d -o papers -g papers -m 700 /var/lib/papers
USER papers
EXPOSE 8000
# No access log: paths hold tokens.
CMD ["gunicorn", "digest.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", \
     "--workers", "2", "--threads", "4", "--preload", "--no-control-socket", \
     "--worker-tmp-dir", "/dev/shm"]

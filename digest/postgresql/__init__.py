"""Django's PostgreSQL, which no visitor waits for long while the server is silent."""

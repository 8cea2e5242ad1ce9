"""The Delivery ledger: who is owed which edition when, and what became of it."""

"""Editions: publish the papers of a day, and compose each reader's digest from them."""

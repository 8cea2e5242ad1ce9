"""What is published for a day, and how one reader's digest is made of it."""

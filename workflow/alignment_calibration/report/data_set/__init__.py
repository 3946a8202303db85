"""A study as a data set: its files, a card for people, and one for programs."""

"""The published study, what it claims, and a study beside it."""

"""What people read: tables, figures, captions, the summary of a run."""

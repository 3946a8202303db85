"""Tables for people: one content as CSV (exact), Markdown (readable) and LaTeX (for a paper)."""

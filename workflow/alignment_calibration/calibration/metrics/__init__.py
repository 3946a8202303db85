"""Metrics: what questions add up to (tallies), what follows from the sums (formulas), by name."""

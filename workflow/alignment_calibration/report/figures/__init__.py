"""Figures: one module each, a function from a tidy table to a drawing, all in one style."""

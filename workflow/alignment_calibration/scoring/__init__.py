"""Scoring: log-probabilities of the options of questions under a causal language model."""

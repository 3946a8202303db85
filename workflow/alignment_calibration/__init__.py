"""Does alignment tuning break an LLM's own confidence?

Calibration of base and aligned language models on multiple-choice tasks: scoring of options,
confidences read from token log-probabilities, calibration errors, their changes and their figures.
"""

"""Calibration of one model: confidences, metrics, resampling."""

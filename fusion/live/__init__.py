"""Prediction while a clip goes on."""

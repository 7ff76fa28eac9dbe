"""Rows in 8 bits: codes with a scale and a middle for each row, and the error that this makes."""

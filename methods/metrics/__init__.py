"""Measuring pictures and clips: against a reference, against themselves, inside a mask."""

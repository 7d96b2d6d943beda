"""Clips: filling what an object hid, and motion without end, from nothing but the clip itself."""

from .infusion import infusion as infusion

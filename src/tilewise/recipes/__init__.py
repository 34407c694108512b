"""Whole runs by name: functions that return a frozen config with the published numbers."""

"""Tracing a pipeline function into nodes and edges."""

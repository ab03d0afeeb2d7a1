"""Carrying out a plan: the driver that keeps the order, the attempt that runs one step, the worker that does so elsewhere."""

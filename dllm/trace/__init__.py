"""What happened to a row, step by step: `recording` keeps it and reads it back, `drawing` makes HTML of a canvas."""

from dllm.trace.recording import VERSION, Alternatives, Trace, TraceStep

__all__ = ["VERSION", "Alternatives", "Trace", "TraceStep"]

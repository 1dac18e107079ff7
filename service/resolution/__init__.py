"""From what a caller says of a run to a spec with nothing left open, or to every reason why it cannot be."""

"""What is remembered: tables, queries, the run state machine, blobs. The truth."""

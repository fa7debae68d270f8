"""Pure statistics over per-item records: intervals, paired differences, corrections, power."""

"""Pure statistics of item records: intervals, paired differences, corrections, power."""

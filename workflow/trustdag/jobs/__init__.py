"""Jobs on a machine or cluster: their allocation, how they are started and watched, and their records."""

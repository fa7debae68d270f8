"""Generation of replies and likelihoods, the same for every vertical; and the decoding loop that PPO shares."""

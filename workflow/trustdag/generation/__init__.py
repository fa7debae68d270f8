"""Generation of replies and likelihoods for all verticals, and the decoding loop, which PPO uses too."""

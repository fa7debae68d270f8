"""The engines that ask a model: sampling and likelihood, the same for every vertical."""

"""What all tests share."""

from hypothesis import settings

# A busy machine is no failure: time is limited by pytest, not by each example.
settings.register_profile("trustdag", deadline=None)
settings.load_profile("trustdag")

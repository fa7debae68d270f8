"""Settings of the sampling of replies; part of every vertical's settings."""

from pydantic import Field

from trustdag.settings import Count, NotNegative, Section, Seed


class GenerateSettings(Section):
    """Sampling of a vertical's replies."""

    samples: Count = 1
    """Independent replies per item."""
    temperature: NotNegative = 0.0
    """0 is greedy decoding."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling: tokens are sampled from the smallest set with this probability."""
    max_new_tokens: Count = 50
    """Longest reply, in tokens."""
    seed: Seed = 0
    """Seed of the sampling. Each item and sample has its own random stream, independent of batches."""
    batch_tokens: Count = 16384
    """Tokens in one batch, prompt and reply together; halved when memory runs out. Never changes a reply on a CPU."""

"""Settings of the sampling of replies; part of every vertical's settings."""

from pydantic import Field

from trustdag.settings import Section


class GenerateSettings(Section):
    """Sampling of a vertical's replies."""

    samples: int = Field(1, ge=1)
    """Independent replies per item."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy decoding."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling: tokens are sampled from the smallest set with this probability."""
    max_new_tokens: int = Field(50, ge=1)
    """Longest reply, in tokens."""
    seed: int = 0
    """Seed of the sampling. Each item and sample has its own random stream, independent of batches."""
    batch_tokens: int = Field(16384, ge=1)
    """Tokens in one batch, prompt and reply together; halved when memory runs out. Never changes a reply on a CPU."""

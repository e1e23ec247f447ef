"""What `auto` saves and what it costs in quality: on recorded prompts, and at the prices of real pairs of models."""

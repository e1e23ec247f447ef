"""What every Weebill process shares: the link to its supervisor and its logging."""

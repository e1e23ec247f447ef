"""What Weebill knows about the outside world, as data tables."""

"""Programs of other people, installed in pinned versions and run as their users run them, against Weebill."""

"""The stages that a metered request passes, in order. Each is a file and knows no other stage."""

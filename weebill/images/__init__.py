"""Images that clients send to models of this machine: fetched, decoded within bounds, and the text in them read."""

"""What `auto` is worth with the model that is served by default: real small answers, and a large tier that is right."""

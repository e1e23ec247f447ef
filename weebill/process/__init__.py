"""The parts of every Weebill process: the link to its supervisor, logging, and questions to other processes."""

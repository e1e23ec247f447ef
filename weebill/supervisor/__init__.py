"""The processes of an installation: started, watched, told of changes, drained."""

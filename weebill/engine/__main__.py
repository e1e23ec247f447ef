"""`python -m weebill.engine`: an engine host, started by the supervisor."""

from weebill.engine.host import main

if __name__ == "__main__":
    main()

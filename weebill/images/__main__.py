"""`python -m weebill.images`: works on images until its standard input ends; started by a gateway worker."""

from weebill.images.host import main

if __name__ == "__main__":
    main()

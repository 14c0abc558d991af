"""`python -m weir_cli` is `weir`."""

from weir_cli.app import main

if __name__ == "__main__":
    main()

"""The command line as a module: ``python -m tilewise``."""

from tilewise.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m daemon` is `retuned`, also where the console script is not on the path."""

from daemon.cli import app

if __name__ == "__main__":
    app()

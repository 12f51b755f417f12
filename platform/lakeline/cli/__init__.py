"""The command line. Its modules import nothing heavy at the top, so that help is there at once."""


def main() -> None:
    """Run `lakeline` with the arguments of this process."""
    from lakeline.cli.app import app

    app(prog_name="lakeline")

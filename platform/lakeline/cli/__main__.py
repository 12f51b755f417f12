"""`python -m lakeline.cli`, for where the script is not on the path."""

from lakeline.cli import main

main(prog_name="lakeline")

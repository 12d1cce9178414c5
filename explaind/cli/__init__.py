"""The command line; `explaind.cli.entry:main` is `explaind`. A command imports what is heavy when it runs."""

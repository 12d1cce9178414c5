"""The command line; `explaind.cli.main:app` is `explaind`. A command imports what is heavy when it runs."""

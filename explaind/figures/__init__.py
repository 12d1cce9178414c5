"""Drawing that the command line and the evaluation share: colours, a sheet, grids of pictures, plain charts."""

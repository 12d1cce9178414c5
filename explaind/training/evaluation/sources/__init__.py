"""The sources' figures beside ours, row by row, and the table that is generated from them."""

"""The anomaly side of an evaluation: outliers of many kinds, how well they are told apart, the source's protocol."""

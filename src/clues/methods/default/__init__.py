"""The default score: features, corruption types, calibration, and the prior of a client."""

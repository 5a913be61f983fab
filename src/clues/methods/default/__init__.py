"""The default score: features, their sum in units of the anchors, and two groups of samples."""

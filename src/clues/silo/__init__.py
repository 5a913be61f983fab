"""What one data owner does: train a trajectory, score, select, and train on the selected samples."""

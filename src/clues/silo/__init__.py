"""What one data owner does: train a trajectory, score, select, train on what is kept."""

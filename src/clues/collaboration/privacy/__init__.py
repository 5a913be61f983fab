"""What keeps one client's numbers from the coordinator: masks, noise, and a budget."""

"""What readers are answered: structs made of the fleet view, and how they are made."""

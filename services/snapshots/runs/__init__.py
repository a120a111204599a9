"""What hosts did for slots of policies: storing it, and finding what is missing."""

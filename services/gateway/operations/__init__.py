"""Operations: submitted, followed, kept, and found out about when an answer was lost."""

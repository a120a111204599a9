"""Operations: submission, tracking, storage, and reconciliation after a lost reply."""

"""Operations from their acceptance to their end."""

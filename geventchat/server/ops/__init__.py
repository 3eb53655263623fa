"""Operations: the admin port, with health, metrics and the busiest rooms."""

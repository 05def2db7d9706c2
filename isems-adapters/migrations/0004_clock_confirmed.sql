-- The latest moment that our clock showed while a node confirmed it. What is
-- pruned for its age is gone for ever, so ages are not reckoned by a clock that
-- nobody confirms; `newest_arrival` is whatever our clock showed.
ALTER TABLE store_state ADD COLUMN clock_confirmed INTEGER;

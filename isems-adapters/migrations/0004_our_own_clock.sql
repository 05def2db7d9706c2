-- The latest moment that our clock showed while a node confirmed it. What is
-- pruned for its age is gone for ever, so ages are not reckoned by a clock that
-- nobody confirms; `newest_arrival` is whatever our clock showed.
ALTER TABLE store_state ADD COLUMN clock_confirmed INTEGER;

-- Whether a run's offset counts from a guess of the present, made while our
-- clock was doubted.
ALTER TABLE clock_run ADD COLUMN guessed INTEGER NOT NULL DEFAULT 0;

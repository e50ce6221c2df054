-- Defaults that are in no calendar.
SET sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE t (id int PRIMARY KEY, a date DEFAULT '2026-02-30', b datetime NOT NULL DEFAULT '2026-11-31 00:00:00');

-- Defaults that are texts, numbers, blobs, words and expressions.
CREATE TABLE t (id integer PRIMARY KEY, a text DEFAULT 'it''s', b text DEFAULT "double", c blob DEFAULT x'00ff', d int DEFAULT -1,
  e real DEFAULT 1.5e3, f text DEFAULT CURRENT_TIMESTAMP, g text DEFAULT (datetime('now', '+1 day')), h text DEFAULT NULL, i bool DEFAULT TRUE,
  j text DEFAULT ('(') NOT NULL, k int DEFAULT +5, l text DEFAULT '');

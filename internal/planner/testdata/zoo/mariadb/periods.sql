-- Application periods, and a key without overlaps.
CREATE TABLE t (
  id int, s date NOT NULL, e date NOT NULL, PERIOD FOR valid (s, e), PRIMARY KEY (id, valid WITHOUT OVERLAPS)
);
CREATE TABLE u (id int, s date NOT NULL, e date NOT NULL, PERIOD FOR p (s, e), UNIQUE KEY k (id, p WITHOUT OVERLAPS));
